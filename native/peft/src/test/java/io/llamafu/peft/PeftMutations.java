package io.llamafu.peft;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.UnaryOperator;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Draws damaged copies of a PEFT folder's two files, reproducible by seed. Attacks on the JSON header know the
 * positions of its names, numbers and types, so most of them pass the first check.
 */
final class PeftMutations {
    private static final String[] NUMBERS = {
        "0",
        "1",
        "-1",
        "2",
        "3",
        "5",
        "8",
        "127",
        "129",
        "4096",
        "65536",
        "65537",
        "2147483647",
        "2147483648",
        "4294967296",
        "4611686018427387904",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "1e3",
        "1e400",
        "0.5",
        "1".repeat(70),
        "null",
        "true",
        "\"4\"",
        "[]",
        "[4,4]",
        "{}"
    };
    private static final String[] WORDS = {
        "\"F16\"",
        "\"BF16\"",
        "\"F32\"",
        "\"F64\"",
        "\"I64\"",
        "\"F8_E5M2\"",
        "\"\"",
        "\"LORA\"",
        "\"DORA\"",
        "\"none\"",
        "\"all\"",
        "\"pissa\"",
        "\"q_proj\"",
        "\"(a+)+$\"",
        "null",
        "true",
        "7",
        "[]",
        "{}",
        "\"\\u0000\"",
        "\"\\ud800\""
    };
    private static final Pattern NUMBER = Pattern.compile("(?<![\\w.\"])-?\\d+(?:\\.\\d+)?(?![\\w.\"])");
    private static final Pattern WORD = Pattern.compile("\"[^\"]*\"");
    private static final Pattern LITERAL = Pattern.compile("\\b(?:true|false|null)\\b");
    private static final Pattern KEY = Pattern.compile("\"[^\"]*\" ?:");

    private final byte[] weights;
    private final int headerBytes;
    private final String header;
    private final String config;
    private final SplittableRandom random;

    PeftMutations(Path folder, long seed) throws IOException {
        weights = Files.readAllBytes(folder.resolve("adapter_model.safetensors"));
        headerBytes =
                (int) ByteBuffer.wrap(weights).order(ByteOrder.LITTLE_ENDIAN).getLong();
        header = new String(weights, Long.BYTES, headerBytes, StandardCharsets.UTF_8);
        config = Files.readString(folder.resolve("adapter_config.json"));
        random = new SplittableRandom(seed);
    }

    /** The next damaged copy of the weights. */
    byte[] nextWeights() {
        return switch (random.nextInt(15)) {
            case 0 -> flipBits(weights.clone(), Long.BYTES + headerBytes);
            case 1 -> flipBits(weights.clone(), weights.length);
            case 2 -> Arrays.copyOf(weights, random.nextInt(weights.length));
            case 3 -> Arrays.copyOf(weights, random.nextInt(Long.BYTES + headerBytes));
            case 4 -> withLength(length());
            case 5 -> Arrays.copyOf(weights, weights.length + 1 + random.nextInt(64));
            case 6, 7 -> withHeader(replace(header, NUMBER, any(NUMBERS)));
            case 8 -> withHeader(replace(header, NUMBER, this::nudge));
            case 9 -> withHeader(replace(header, WORD, any(WORDS)));
            case 10 -> withHeader(replace(header, WORD, word -> word(header)));
            case 11 -> withHeader(replace(header, KEY, this::renamed));
            case 12 -> withHeader(insert(header));
            case 13 -> withHeader(moveModule());
            default -> withHeader(replace(replace(header, NUMBER, any(NUMBERS)), NUMBER, this::nudge));
        };
    }

    /** The next damaged copy of the configuration. */
    byte[] nextConfig() {
        String changed =
                switch (random.nextInt(9)) {
                    case 0 -> config.substring(0, random.nextInt(config.length()));
                    case 1 -> replace(config, NUMBER, any(NUMBERS));
                    case 2 -> replace(config, NUMBER, this::nudge);
                    case 3 -> replace(config, WORD, any(WORDS));
                    case 4 -> replace(config, WORD, word -> word(config));
                    case 5 -> replace(config, LITERAL, any(WORDS));
                    case 6 -> replace(config, LITERAL, any(NUMBERS));
                    case 7 -> insert(config);
                    default ->
                        config.replaceFirst(
                                ",",
                                ", \"alpha_pattern\": {\"%s\": %s},"
                                        .formatted(random.nextBoolean() ? "q_proj" : "x", NUMBERS[random.nextInt(20)]));
                };
        byte[] bytes = changed.getBytes(StandardCharsets.UTF_8);
        return random.nextInt(4) == 0 && bytes.length > 0 ? flipBits(bytes, bytes.length) : bytes;
    }

    private byte[] flipBits(byte[] bytes, int end) {
        for (int count = 1 + random.nextInt(8); count > 0; count--) {
            bytes[random.nextInt(end)] ^= (byte) (1 << random.nextInt(8));
        }
        return bytes;
    }

    private long length() {
        long[] lengths = {
            0, 1, 2, headerBytes - 1, headerBytes + 1, weights.length, 1 << 20, 8 << 20, 1L << 32, 1L << 62, -1
        };
        return lengths[random.nextInt(lengths.length)];
    }

    private byte[] withLength(long length) {
        byte[] bytes = weights.clone();
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(length);
        return bytes;
    }

    private byte[] withHeader(String changed) {
        return SafetensorsBytes.of(changed, Arrays.copyOfRange(weights, Long.BYTES + headerBytes, weights.length));
    }

    private String replace(String text, Pattern pattern, UnaryOperator<String> change) {
        List<MatchResult> found = new ArrayList<>();
        Matcher matcher = pattern.matcher(text);
        while (matcher.find()) {
            found.add(matcher.toMatchResult());
        }
        if (found.isEmpty()) {
            return text;
        }
        MatchResult one = found.get(random.nextInt(found.size()));
        return text.substring(0, one.start()) + change.apply(one.group()) + text.substring(one.end());
    }

    private UnaryOperator<String> any(String[] choices) {
        return ignored -> choices[random.nextInt(choices.length)];
    }

    private String nudge(String number) {
        return String.valueOf((long) Double.parseDouble(number) + random.nextInt(-4, 5));
    }

    /** Another word of the same text: a duplicate name, or a type in place of a name. */
    private String word(String text) {
        List<String> words =
                WORD.matcher(text).results().map(MatchResult::group).toList();
        return words.get(random.nextInt(words.size()));
    }

    /** Another layer, module or matrix: some still fit. */
    private String renamed(String key) {
        String[][] changes = {
            {"layers.0", "layers.3"},
            {"layers.1", "layers.4"},
            {"q_proj", "v_proj"},
            {"k_proj", "v_proj"},
            {"lora_A", "lora_B"},
            {"lora_A.weight", "lora_A.default.weight"},
            {"lora_B.weight", "lora_magnitude_vector"},
            {"self_attn", "cross_attn"},
            {"base_model.model.", ""},
            {".weight", ".bias"}
        };
        String[] change = changes[random.nextInt(changes.length)];
        return key.replace(change[0], change[1]);
    }

    /** Moves both matrices to another layer or module, which may be taken or absent. */
    private String moveModule() {
        String from = "layers.%d.self_attn.q_proj".formatted(random.nextInt(4));
        String to = "layers.%d.%s"
                .formatted(random.nextInt(8), random.nextBoolean() ? "self_attn.q_proj" : "self_attn.qkv_proj");
        return header.replace(from, to);
    }

    private String insert(String text) {
        String[] pieces = {
            "[".repeat(2_000), "{\"a\":".repeat(200), "{", "}", "\"", ",", " ", "\u0000", "\ufeff", "é", "1"
        };
        int place = random.nextInt(text.length() + 1);
        return text.substring(0, place) + pieces[random.nextInt(pieces.length)] + text.substring(place);
    }
}
