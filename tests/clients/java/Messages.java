import java.io.File;
import java.io.FileOutputStream;
import java.io.OutputStreamWriter;
import java.io.PrintWriter;
import java.lang.reflect.Method;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.zip.GZIPOutputStream;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.Field;
import org.apache.kafka.common.protocol.types.RawTaggedField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.record.internal.BaseRecords;
import org.apache.kafka.common.record.internal.MemoryRecords;

/**
 * Writes messages as Kafka's own serializers do, for `src/wire/kafka_tests.rs` to read and to write back.
 *
 * <p>`Messages FILE SAMPLES`: a gzip file of text. For every API that Kafka's brokers serve to clients, for its request
 * and its response (each with the header before it), in every version that Kafka has, SAMPLES messages; and the
 * records of `__consumer_offsets`. The values are pseudo-random and the same in every run:
 *
 * <ul><li>sample 0: every number and text differs from the others, nothing is null, every tagged field is there;
 * <li>sample 1: null wherever it is allowed, empty arrays and texts, no tagged field;
 * <li>sample 2: tagged fields that nobody knows, in every struct of a flexible version;
 * <li>from 3 on: bounds of the number types, random numbers, texts beyond ASCII, long texts, nulls, arrays of 0 to 3.</ul>
 *
 * <p>A message is a line `request|response KEY VERSION SAMPLE` or `record NAME VERSION SAMPLE`, a line with its bytes
 * in hex, a line with the bytes that a program writes that drops unknown tags (`=` when they are the same), then one
 * line `path=value` for every field of that version, and an empty line. In paths there is no case and no underscore.
 */
public final class Messages {
    private static final String[] RECORDS = {
        "OffsetCommitKey", "OffsetCommitValue", "GroupMetadataKey", "GroupMetadataValue"};
    private static final String[] TEXTS = {
        "", "a", "topic-1", "é", "中文", "𝄞 clef", "ελληνικά", "z".repeat(126), "z".repeat(127), "é".repeat(100)};

    private final PrintWriter out;
    private long random;
    private int sample;
    /** What the next number of sample 0 is. */
    private int next;
    private boolean dropUnknown;
    private StringBuilder leaves;

    private Messages(PrintWriter out) {
        this.out = out;
    }

    public static void main(String[] args) throws Exception {
        int samples = Integer.parseInt(args[1]);
        File partial = new File(args[0] + ".partial");
        try (PrintWriter out = new PrintWriter(new OutputStreamWriter(
                new GZIPOutputStream(new FileOutputStream(partial)), StandardCharsets.UTF_8))) {
            out.println("Kafka's messages as kafka-clients 4.3.1 (Apache-2.0) writes them; made by tests/clients/java/Messages.java.\n");
            Messages all = new Messages(out);
            for (ApiMessageType api : ApiMessageType.values()) {
                if (api.listeners().contains(ApiMessageType.ListenerType.BROKER)) {
                    all.api(api, samples);
                }
            }
            for (String name : RECORDS) {
                all.record(name, samples);
            }
            if (out.checkError()) {
                throw new IllegalStateException("cannot write " + partial);
            }
        }
        if (!partial.renameTo(new File(args[0]))) {
            throw new IllegalStateException("cannot rename " + partial);
        }
    }

    private void api(ApiMessageType api, int samples) throws Exception {
        for (short version = api.lowestSupportedVersion(); version <= api.highestSupportedVersion(true); version++) {
            for (int i = 0; i < samples; i++) {
                short headerVersion = api.requestHeaderVersion(version);
                Message header = new RequestHeaderData();
                begin(api.apiKey(), version, i);
                fill(header, RequestHeaderData.SCHEMAS[headerVersion], "header.");
                // What a header says of its request is no random number.
                ((RequestHeaderData) header).setRequestApiKey(api.apiKey()).setRequestApiVersion(version);
                leaves = new StringBuilder(leaves.toString()
                    .replaceFirst("header.requestapikey=.*", "header.requestapikey=" + api.apiKey())
                    .replaceFirst("header.requestapiversion=.*", "header.requestapiversion=" + version));
                ApiMessage request = api.newRequest();
                fill(request, api.requestSchemas()[version], "");
                print("request " + api.apiKey(), version, header, headerVersion, request);

                headerVersion = api.responseHeaderVersion(version);
                header = new ResponseHeaderData();
                begin(api.apiKey() + 1000, version, i);
                fill(header, ResponseHeaderData.SCHEMAS[headerVersion], "header.");
                ApiMessage response = api.newResponse();
                fill(response, api.responseSchemas()[version], "");
                print("response " + api.apiKey(), version, header, headerVersion, response);
            }
        }
    }

    private void record(String name, int samples) throws Exception {
        Class<?> type = Class.forName("org.apache.kafka.coordinator.group.generated." + name);
        Schema[] schemas = (Schema[]) type.getField("SCHEMAS").get(null);
        for (short version = 0; version < schemas.length; version++) {
            for (int i = 0; i < samples && schemas[version] != null; i++) {
                begin(2000 + name.hashCode(), version, i);
                Message record = (Message) type.getConstructor().newInstance();
                fill(record, schemas[version], "");
                print("record " + name, version, null, (short) 0, record);
            }
        }
    }

    private void print(String what, short version, Message header, short headerVersion, Message body) throws Exception {
        String bytes = (header == null ? "" : hex(header, headerVersion)) + hex(body, version);
        String known = bytes;
        if (sample == 2) {
            forget(body);
            if (header != null) {
                forget(header);
            }
            known = (header == null ? "" : hex(header, headerVersion)) + hex(body, version);
        }
        out.println(what + " " + version + " " + sample);
        out.println(bytes);
        out.println(known.equals(bytes) ? "=" : known);
        out.println(leaves);
    }

    private static String hex(Message message, short version) {
        ByteBufferAccessor written = MessageUtil.toByteBufferAccessor(message, version);
        ByteBuffer buffer = written.buffer().duplicate();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return HexFormat.of().formatHex(bytes);
    }

    // Values.

    private void begin(int key, short version, int sample) {
        this.sample = sample;
        random = ((long) key << 32) ^ ((long) version << 16) ^ sample;
        next = 1;
        leaves = new StringBuilder();
    }

    /** splitmix64. */
    private long number() {
        random += 0x9e3779b97f4a7c15L;
        long z = random;
        z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
        z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
        return z ^ (z >>> 31);
    }

    private int below(int bound) {
        return (int) Long.remainderUnsigned(number(), bound);
    }

    /** A number of a type with these bounds. */
    private long number(long least, long most) {
        if (sample == 0) {
            int distinct = next++;
            return most <= Byte.MAX_VALUE ? distinct % 127 : distinct;
        }
        if (sample == 1) {
            return 0;
        }
        return switch (below(6)) {
            case 0 -> least;
            case 1 -> most;
            case 2 -> Math.max(least, -1);
            case 3 -> below(100);
            case 4 -> 0;
            default -> least == Long.MIN_VALUE ? number() : least + Long.remainderUnsigned(number(), most - least + 1);
        };
    }

    private String text() {
        if (sample == 0) {
            return "text-" + next++;
        }
        if (sample == 1) {
            return "";
        }
        return sample >= 8 && below(50) == 0 ? "long".repeat(4100) : TEXTS[below(TEXTS.length)];
    }

    private byte[] bytes() {
        byte[] bytes = new byte[sample == 1 ? 0 : sample >= 8 && below(8) == 0 ? 20_000 : below(12)];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) number();
        }
        return bytes;
    }

    private boolean absent(boolean allowed) {
        return allowed && (sample == 1 || sample > 1 && below(3) == 0);
    }

    // Messages.

    private void fill(Message message, Schema schema, String path) throws Exception {
        Map<String, Method> setters = new HashMap<>();
        for (Method method : message.getClass().getMethods()) {
            if (method.getName().startsWith("set") && method.getParameterCount() == 1) {
                setters.put(plain(method.getName().substring(3)), method);
            }
        }
        for (BoundField bound : schema.fields()) {
            if (bound.def.type instanceof TaggedFields tagged) {
                for (Field field : tagged.fields().values()) {
                    // A tagged field that is not set keeps its default, and is not written.
                    if (sample != 1 && (sample == 0 || below(2) == 0)) {
                        set(message, setters, field, path);
                    }
                }
                if (sample == 2) {
                    message.unknownTaggedFields().add(new RawTaggedField(1000, bytes()));
                    message.unknownTaggedFields().add(new RawTaggedField(70_000, new byte[0]));
                }
            } else {
                set(message, setters, bound.def, path);
            }
        }
    }

    private void set(Message message, Map<String, Method> setters, Field field, String path) throws Exception {
        Method setter = setters.get(plain(field.name));
        if (setter == null) {
            throw new IllegalStateException(message.getClass() + " has no " + field.name);
        }
        setter.invoke(message, value(field.type, setter.getGenericParameterTypes()[0], path + plain(field.name)));
    }

    /** A value of a type, noted in `leaves`. */
    private Object value(org.apache.kafka.common.protocol.types.Type kind, Type java, String path) throws Exception {
        if (absent(kind.isNullable())) {
            leaf(path, "null");
            return null;
        }
        if (kind.arrayElementType().isPresent()) {
            return array(kind.arrayElementType().get(), java, path);
        }
        if (kind instanceof Schema schema) {
            Message struct = (Message) ((Class<?>) java).getConstructor().newInstance();
            fill(struct, schema, path + ".");
            return struct;
        }
        Class<?> type = (Class<?>) java;
        if (type == boolean.class) {
            return leaf(path, sample != 1 && below(2) == 0);
        } else if (type == byte.class || type == Byte.class) {
            return leaf(path, (byte) number(Byte.MIN_VALUE, Byte.MAX_VALUE));
        } else if (type == short.class || type == Short.class) {
            return leaf(path, (short) number(Short.MIN_VALUE, Short.MAX_VALUE));
        } else if (kind.toString().equals("UINT16")) {
            return leaf(path, (int) number(0, 65535));
        } else if (type == int.class || type == Integer.class) {
            return leaf(path, (int) number(Integer.MIN_VALUE, Integer.MAX_VALUE));
        } else if (kind.toString().equals("UINT32")) {
            return leaf(path, number(0, 0xffff_ffffL));
        } else if (type == long.class || type == Long.class) {
            return leaf(path, number(Long.MIN_VALUE, Long.MAX_VALUE));
        } else if (type == double.class) {
            return leaf(path, (double) number(Short.MIN_VALUE, Short.MAX_VALUE) / 8);
        } else if (type == String.class) {
            String text = text();
            leaf(path, "\"" + text);
            return text;
        } else if (type == Uuid.class) {
            Uuid id = sample == 1 ? Uuid.ZERO_UUID : new Uuid(number(), number());
            leaf(path, new java.util.UUID(id.getMostSignificantBits(), id.getLeastSignificantBits()));
            return id;
        }
        byte[] bytes = bytes();
        leaf(path, "x" + HexFormat.of().formatHex(bytes));
        if (type == byte[].class) {
            return bytes;
        } else if (type == ByteBuffer.class) {
            return ByteBuffer.wrap(bytes);
        } else if (BaseRecords.class.isAssignableFrom(type)) {
            return MemoryRecords.readableRecords(ByteBuffer.wrap(bytes));
        }
        throw new IllegalStateException(path + " is a " + type);
    }

    @SuppressWarnings("unchecked")
    private Object array(org.apache.kafka.common.protocol.types.Type kind, Type java, String path) throws Exception {
        Collection<Object> elements;
        Type element;
        if (java instanceof ParameterizedType list) {
            elements = new ArrayList<>();
            element = list.getActualTypeArguments()[0];
        } else { // a collection with a class of its own
            Class<?> type = (Class<?>) java;
            elements = (Collection<Object>) type.getConstructor().newInstance();
            element = ((ParameterizedType) type.getGenericSuperclass()).getActualTypeArguments()[0];
        }
        int count = sample == 0 ? 2 : sample == 1 ? 0 : below(4);
        for (int i = 0; i < count; i++) {
            elements.add(value(kind, element, path + "." + i));
        }
        leaf(path + ".#", elements.size());
        return elements;
    }

    private <T> T leaf(String path, T value) {
        leaves.append(path).append('=').append(value).append('\n');
        return value;
    }

    /** Takes the unknown tagged fields out again, at every depth. */
    private static void forget(Message message) throws Exception {
        message.unknownTaggedFields().clear();
        for (Method method : message.getClass().getMethods()) {
            if (method.getParameterCount() != 0 || method.getDeclaringClass() != message.getClass()) {
                continue;
            }
            if (Message.class.isAssignableFrom(method.getReturnType()) && !method.getName().equals("duplicate")) {
                Message struct = (Message) method.invoke(message);
                if (struct != null) {
                    forget(struct);
                }
            } else if (Collection.class.isAssignableFrom(method.getReturnType())) {
                Collection<?> elements = (Collection<?>) method.invoke(message);
                for (Object element : elements == null ? List.of() : elements) {
                    if (element instanceof Message struct) {
                        forget(struct);
                    }
                }
            }
        }
    }

    /** Names compare without case and underscores. */
    private static String plain(String name) {
        return name.replace("_", "").toLowerCase(java.util.Locale.ROOT);
    }
}
