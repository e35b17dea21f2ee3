import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * An idempotent producer with the defaults of kafka-clients that writes its counter to the partitions in turn until its
 * standard input ends. One line per record: `number partition offset`, or `number failed why`; at the end `sent N`.
 */
public final class Writer {
    public static void main(String[] args) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", args[0]);
        p.put("key.serializer", StringSerializer.class.getName());
        p.put("value.serializer", StringSerializer.class.getName());
        int partitions = Integer.parseInt(args[2]);
        int sent = 0;
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(p)) {
            for (; System.in.available() == 0; sent++) {
                int number = sent;
                producer.send(new ProducerRecord<>(args[1], number % partitions, null, String.valueOf(number)),
                    (metadata, error) -> tell(number + (error == null
                        ? " " + metadata.partition() + " " + metadata.offset()
                        : " failed " + error)));
                Thread.sleep(5);
            }
        }
        tell("sent " + sent);
    }

    private static synchronized void tell(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
