import java.io.BufferedWriter;
import java.io.FileReader;
import java.io.FileWriter;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The contract of tests/clients/README.md on kafka-clients, with its defaults (idempotent producer, acks=all). */
public final class Client {
    private static final int KEYS = 97;

    public static void main(String[] args) throws Exception {
        Map<String, String> options = new HashMap<>();
        for (int i = 1; i + 1 < args.length; i += 2) {
            options.put(args[i].substring(2), args[i + 1]);
        }
        boolean done = args[0].equals("produce") ? produce(options) : consume(options);
        System.out.flush();
        Runtime.getRuntime().halt(done ? 0 : 1);
    }

    private static Properties settings(Map<String, String> options) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", options.get("bootstrap"));
        if (options.get("config") == null) {
            return p;
        }
        Properties file = new Properties();
        try (FileReader in = new FileReader(options.get("config"))) {
            file.load(in);
        }
        for (String name : file.stringPropertyNames()) {
            String value = file.getProperty(name);
            switch (name) {
                case "ssl.ca" -> {
                    p.put("ssl.truststore.type", "PEM");
                    p.put("ssl.truststore.location", value);
                }
                case "sasl.username", "sasl.password" -> { }
                case "oauth.token.file" -> {
                    // Read again whenever the login is refreshed, which short tokens need often.
                    System.setProperty("org.apache.kafka.sasl.oauthbearer.allowed.urls", "file://" + value);
                    System.setProperty("org.apache.kafka.sasl.oauthbearer.allowed.files", value);
                    p.put("sasl.oauthbearer.token.endpoint.url", "file://" + value);
                    p.put("sasl.login.callback.handler.class",
                            "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler");
                    p.put("sasl.login.refresh.min.period.seconds", "0");
                    p.put("sasl.login.refresh.buffer.seconds", "1");
                    p.put("sasl.login.refresh.window.factor", "0.5");
                }
                default -> p.put(name, value);
            }
        }
        String mechanism = file.getProperty("sasl.mechanism");
        if ("OAUTHBEARER".equals(mechanism)) {
            p.put("sasl.jaas.config",
                    "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;");
        } else if (mechanism != null) {
            String module = mechanism.equals("PLAIN")
                    ? "org.apache.kafka.common.security.plain.PlainLoginModule"
                    : "org.apache.kafka.common.security.scram.ScramLoginModule";
            p.put("sasl.jaas.config", module + " required username=\"" + file.getProperty("sasl.username")
                    + "\" password=\"" + file.getProperty("sasl.password") + "\";");
        }
        return p;
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static ProducerRecord<byte[], byte[]> record(String topic, String seed, long i) throws Exception {
        StringBuilder hex = new StringBuilder();
        for (byte b : MessageDigest.getInstance("SHA-256").digest(utf8(seed + ":" + i))) {
            hex.append(String.format("%02x", b));
        }
        String value = seed + ":" + i + ":" + i / KEYS + ":" + hex.toString().repeat((int) (i % 9));
        ProducerRecord<byte[], byte[]> record =
                new ProducerRecord<>(topic, utf8(seed + "-k" + i % KEYS), utf8(value));
        record.headers().add("n", utf8(Long.toString(i)));
        record.headers().add("twice", utf8("a"));
        record.headers().add("twice", utf8("b"));
        return record;
    }

    private static long digest(byte[] key, byte[] value, Iterable<Header> headers) throws Exception {
        MessageDigest sha = MessageDigest.getInstance("SHA-256");
        sha.update(key);
        sha.update((byte) 0);
        sha.update(value);
        for (Header header : headers) {
            sha.update((byte) 0);
            sha.update(utf8(header.key()));
            sha.update((byte) '=');
            sha.update(header.value());
        }
        return java.nio.ByteBuffer.wrap(sha.digest()).getLong();
    }

    private static boolean produce(Map<String, String> options) throws Exception {
        Properties p = settings(options);
        p.put("key.serializer", ByteArraySerializer.class.getName());
        p.put("value.serializer", ByteArraySerializer.class.getName());
        long count = Long.parseLong(options.get("count"));
        long acked = 0;
        long hash = 0;
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(p)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (long i = 0; i < count; i++) {
                sent.add(producer.send(record(options.get("topic"), options.get("seed"), i)));
            }
            producer.flush();
            for (int i = 0; i < count; i++) {
                try {
                    sent.get(i).get();
                } catch (java.util.concurrent.ExecutionException failed) {
                    System.err.println("record " + i + ": " + failed.getCause());
                    continue;
                }
                acked++;
                ProducerRecord<byte[], byte[]> r = record(options.get("topic"), options.get("seed"), i);
                hash += digest(r.key(), r.value(), r.headers());
            }
        }
        System.out.printf("{\"acked\": %d, \"hash\": \"%016x\"}%n", acked, hash);
        return acked == count;
    }

    private static boolean consume(Map<String, String> options) throws Exception {
        Properties p = settings(options);
        p.put("key.deserializer", ByteArrayDeserializer.class.getName());
        p.put("value.deserializer", ByteArrayDeserializer.class.getName());
        p.put("auto.offset.reset", "earliest");
        p.put("enable.auto.commit", "false");
        String group = options.get("group");
        if (group != null) {
            p.put("group.id", group);
        }
        String topic = options.get("topic");
        long count = Long.parseLong(options.get("count"));
        long deadline = System.nanoTime()
                + Long.parseLong(options.getOrDefault("timeout", "120")) * 1_000_000_000L;
        long read = 0;
        long hash = 0;
        boolean asked = false;
        KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(p);
        Thread main = Thread.currentThread();
        boolean[] stop = {false};
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            stop[0] = true;
            consumer.wakeup();
            try {
                main.join(10_000);
            } catch (InterruptedException ignored) {
                Thread.currentThread().interrupt();
            }
        }));
        try (BufferedWriter out = new BufferedWriter(new FileWriter(options.get("out"), true))) {
            if (group != null) {
                consumer.subscribe(List.of(topic));
            } else {
                List<TopicPartition> all = new ArrayList<>();
                consumer.partitionsFor(topic).forEach(i -> all.add(new TopicPartition(topic, i.partition())));
                consumer.assign(all);
                consumer.seekToBeginning(all);
            }
            while (read < count && System.nanoTime() < deadline) {
                ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(250));
                for (ConsumerRecord<byte[], byte[]> r : records) {
                    long digest = digest(r.key(), r.value(), r.headers());
                    String[] parts = new String(r.value(), StandardCharsets.UTF_8).split(":", 4);
                    out.write(r.partition() + "\t" + r.offset() + "\t"
                            + new String(r.key(), StandardCharsets.UTF_8) + "\t" + parts[2] + "\t"
                            + String.format("%016x", digest) + "\n");
                    read++;
                    hash += digest;
                }
                out.flush();
                if (group != null && !records.isEmpty()) {
                    consumer.commitSync();
                }
            }
        } catch (WakeupException wakeup) {
            asked = stop[0];
        }
        consumer.close();
        System.out.printf("{\"count\": %d, \"hash\": \"%016x\"}%n", read, hash);
        System.out.flush();
        return read >= count || asked;
    }
}
