import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.common.utils.Exit;

/**
 * Kafka's command line tools, one after the other in one JVM. Each line of standard input is a call, `{"main": class, "args":
 * [...], "input": text}`; each line of standard output what came of it, `{"exit": code, "out": text, "err": text}`.
 */
public class Tools {
    /** A tool that ends its process ends with its thread: it must not go on, nor see that it was stopped. */
    private static void end(CompletableFuture<Integer> exit, int code) {
        exit.complete(code);
        while (true) {
            LockSupport.park();
        }
    }

    private static int run(JsonNode call) throws Exception {
        CompletableFuture<Integer> exit = new CompletableFuture<>();
        Exit.setExitProcedure((code, message) -> end(exit, code));
        Exit.setHaltProcedure((code, message) -> end(exit, code));
        // A tool that was called is done when it returns; what it would do at the end of the JVM is not waited for.
        Exit.setShutdownHookAdder((name, hook) -> { });
        Thread thread = new Thread(() -> {
            try {
                List<String> args = new ArrayList<>();
                call.get("args").forEach(argument -> args.add(argument.asText()));
                Class.forName(call.get("main").asText()).getMethod("main", String[].class)
                    .invoke(null, (Object) args.toArray(new String[0]));
                exit.complete(0);
            } catch (Throwable failure) {
                failure.printStackTrace(System.err);
                exit.complete(1);
            }
        });
        thread.setDaemon(true);
        thread.start();
        return exit.get();
    }

    public static void main(String[] ignored) throws Exception {
        ObjectMapper json = new ObjectMapper();
        PrintStream answers = System.out;
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            JsonNode call = json.readTree(line);
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            ByteArrayOutputStream err = new ByteArrayOutputStream();
            System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
            System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
            System.setIn(new ByteArrayInputStream(call.path("input").asText("").getBytes(StandardCharsets.UTF_8)));
            int exit = run(call);
            System.out.flush();
            System.err.flush();
            ObjectNode answer = json.createObjectNode();
            answer.put("exit", exit);
            answer.put("out", out.toString(StandardCharsets.UTF_8));
            answer.put("err", err.toString(StandardCharsets.UTF_8));
            answers.println(json.writeValueAsString(answer));
            answers.flush();
        }
        System.exit(0);
    }
}
