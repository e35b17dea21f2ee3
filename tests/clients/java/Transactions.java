import java.io.BufferedWriter;
import java.io.FileWriter;
import java.nio.charset.StandardCharsets;
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
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Transactions with kafka-clients.
 *
 * <p>{@code write}: transactions over all partitions of a topic; every fourth is aborted. Values are
 * {@code id:transaction:i}. {@code copy}: moves records from one topic to another, offsets and all, in transactions.
 * Each decided transaction is a line {@code number outcome} of the file {@code --out}: committed, aborted or unknown.
 */
public final class Transactions {
    private static final int RECORDS = 8;

    private final Map<String, String> options;
    private final BufferedWriter out;
    private final long deadline;
    private KafkaProducer<byte[], byte[]> producer;

    private Transactions(Map<String, String> options) throws Exception {
        this.options = options;
        this.out = new BufferedWriter(new FileWriter(options.get("out"), true));
        this.deadline = System.nanoTime() + Long.parseLong(options.get("seconds")) * 1_000_000_000L;
    }

    public static void main(String[] args) throws Exception {
        Map<String, String> options = new HashMap<>();
        for (int i = 1; i + 1 < args.length; i += 2) {
            options.put(args[i].substring(2), args[i + 1]);
        }
        Transactions run = new Transactions(options);
        if (args[0].equals("write")) {
            run.write();
        } else {
            run.copy();
        }
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    private void begin() throws Exception {
        while (true) {
            try {
                if (producer != null) {
                    producer.close(Duration.ZERO);
                }
                Properties p = new Properties();
                p.put("bootstrap.servers", options.get("bootstrap"));
                p.put("transactional.id", options.get("id"));
                p.put("transaction.timeout.ms", options.getOrDefault("timeout", "20000"));
                p.put("delivery.timeout.ms", "30000");
                p.put("request.timeout.ms", "10000");
                p.put("key.serializer", ByteArraySerializer.class.getName());
                p.put("value.serializer", ByteArraySerializer.class.getName());
                producer = new KafkaProducer<>(p);
                producer.initTransactions();
                return;
            } catch (KafkaException e) {
                System.out.println("begin: " + e);
                Thread.sleep(200);
            }
        }
    }

    private void note(long number, String outcome) throws Exception {
        out.write(number + " " + outcome + "\n");
        out.flush();
    }

    private boolean goesOn() {
        return System.nanoTime() < deadline;
    }

    /** Commits or aborts; the outcome, and a new producer when this one can't go on. */
    private void end(long number, boolean commit, List<Future<RecordMetadata>> sent) throws Exception {
        boolean deciding = false;
        try {
            if (commit) {
                producer.flush();
                for (Future<RecordMetadata> one : sent) {
                    one.get();
                }
                deciding = true;
                producer.commitTransaction();
                note(number, "committed");
            } else {
                producer.abortTransaction();
                note(number, "aborted");
            }
        } catch (Exception e) {
            System.out.println("end " + number + ": " + e);
            note(number, deciding ? "unknown" : "aborted");
            begin();
        }
    }

    private void write() throws Exception {
        String topic = options.get("topic");
        begin();
        int partitions = producer.partitionsFor(topic).size();
        for (long number = 0; goesOn(); number++) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            try {
                producer.beginTransaction();
                for (int i = 0; i < RECORDS; i++) {
                    byte[] value = (options.get("id") + ":" + number + ":" + i).getBytes(StandardCharsets.UTF_8);
                    int partition = (int) ((number + i) % partitions);
                    sent.add(producer.send(new ProducerRecord<>(topic, partition, null, value)));
                }
            } catch (KafkaException e) {
                System.out.println("send " + number + ": " + e);
                note(number, "aborted");
                begin();
                continue;
            }
            end(number, number % 4 != 3, sent);
        }
        producer.close();
    }

    private void copy() throws Exception {
        Properties c = new Properties();
        c.put("bootstrap.servers", options.get("bootstrap"));
        c.put("group.id", options.get("group"));
        c.put("enable.auto.commit", "false");
        c.put("auto.offset.reset", "earliest");
        c.put("isolation.level", "read_committed");
        c.put("max.poll.records", "50");
        c.put("session.timeout.ms", "10000");
        c.put("key.deserializer", ByteArrayDeserializer.class.getName());
        c.put("value.deserializer", ByteArrayDeserializer.class.getName());
        begin();
        KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(c);
        consumer.subscribe(List.of(options.get("from")));
        for (long number = 0; goesOn(); ) {
            ConsumerRecords<byte[], byte[]> records;
            try {
                records = consumer.poll(Duration.ofMillis(200));
            } catch (KafkaException e) {
                System.out.println("poll: " + e);
                continue;
            }
            if (records.isEmpty()) {
                continue;
            }
            Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
            boolean done = false;
            try {
                producer.beginTransaction();
                for (ConsumerRecord<byte[], byte[]> record : records) {
                    producer.send(new ProducerRecord<>(options.get("topic"), record.key(), record.value()));
                    TopicPartition at = new TopicPartition(record.topic(), record.partition());
                    offsets.put(at, new OffsetAndMetadata(record.offset() + 1));
                }
                producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
                producer.commitTransaction();
                note(number, "committed");
                done = true;
            } catch (KafkaException e) {
                System.out.println("copy " + number + ": " + e);
                note(number, "unknown");
                begin();
            }
            number++;
            if (!done) {
                back(consumer);
            }
        }
        producer.close();
        consumer.close();
    }

    /** Reads again from what is committed. */
    private static void back(KafkaConsumer<byte[], byte[]> consumer) throws Exception {
        while (true) {
            try {
                Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(consumer.assignment());
                for (Map.Entry<TopicPartition, OffsetAndMetadata> at : committed.entrySet()) {
                    if (at.getValue() == null) {
                        consumer.seekToBeginning(List.of(at.getKey()));
                    } else {
                        consumer.seek(at.getKey(), at.getValue());
                    }
                }
                return;
            } catch (KafkaException e) {
                System.out.println("back: " + e);
                Thread.sleep(200);
            }
        }
    }
}
