package io.llamafu.gguf;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.US_ASCII;

/**
 * Draws damaged copies of a GGUF file, reproducible by seed. Attacks on fields know the position of each field, so most
 * of them pass the first check.
 */
public final class GgufMutations {
    private static final long[] LENGTHS = {
        0,
        1,
        2,
        3,
        5,
        31,
        33,
        64,
        65,
        127,
        129,
        1 << 16,
        1L << 20,
        1L << 31,
        (1L << 31) - 1,
        1L << 32,
        1L << 40,
        1L << 61,
        1L << 62,
        Long.MAX_VALUE,
        -1,
        Long.MIN_VALUE
    };

    private final byte[] original;
    private final SplittableRandom random;
    /** Positions of 4-byte and 8-byte fields of the header. */
    private final List<Integer> fields32 = new ArrayList<>();

    private final List<Integer> fields64 = new ArrayList<>();
    private final List<Integer> tensorTypes = new ArrayList<>();
    /** Position and length of keys, tensor names and short strings. */
    private final List<int[]> texts = new ArrayList<>();

    /** Positions of the first two dimensions of each matrix. */
    private final List<Integer> matrices = new ArrayList<>();

    private final int architecture;
    private final int headerBytes;

    public GgufMutations(Path file, long seed) throws IOException {
        original = Files.readAllBytes(file);
        random = new SplittableRandom(seed);
        headerBytes = findFields(ByteBuffer.wrap(original).order(ByteOrder.LITTLE_ENDIAN));
        architecture = indexOf("general.architecture") + "general.architecture".length() + Integer.BYTES;
    }

    /** The next damaged copy. */
    public byte[] next() {
        byte[] bytes = original.clone();
        return switch (random.nextInt(12)) {
            case 0 -> flipBits(bytes, headerBytes);
            case 1 -> flipBits(bytes, bytes.length);
            case 2 -> Arrays.copyOf(bytes, random.nextInt(bytes.length));
            case 3 -> Arrays.copyOf(bytes, random.nextInt(headerBytes));
            case 4 -> overwrite32(bytes, fields32);
            case 5, 6 -> overwrite64(bytes);
            case 7 -> changeTensorType(bytes);
            case 8 -> duplicateText(bytes);
            case 9 -> transpose(bytes);
            case 10 -> changeArchitecture(bytes);
            default -> overwrite64(overwrite32(changeTensorType(bytes), fields32));
        };
    }

    private byte[] flipBits(byte[] bytes, int end) {
        for (int count = 1 + random.nextInt(8); count > 0; count--) {
            bytes[random.nextInt(end)] ^= (byte) (1 << random.nextInt(8));
        }
        return bytes;
    }

    private byte[] overwrite32(byte[] bytes, List<Integer> fields) {
        int value = random.nextBoolean() ? random.nextInt(64) : (int) LENGTHS[random.nextInt(LENGTHS.length)];
        buffer(bytes).putInt(fields.get(random.nextInt(fields.size())), value);
        return bytes;
    }

    private byte[] overwrite64(byte[] bytes) {
        long value = random.nextBoolean() ? random.nextInt(1024) : LENGTHS[random.nextInt(LENGTHS.length)];
        buffer(bytes).putLong(fields64.get(random.nextInt(fields64.size())), value);
        return bytes;
    }

    /** To any number, or to a type with which the tensor still fits the file. */
    private byte[] changeTensorType(byte[] bytes) {
        int[] types = {0, 1, 2, 8, 24, 25, 26, 27, 28, 30, 4, 43, -1};
        buffer(bytes).putInt(tensorTypes.get(random.nextInt(tensorTypes.size())), types[random.nextInt(types.length)]);
        return bytes;
    }

    /** Copies a name over another of the same length: a duplicate key, tensor or token. */
    private byte[] duplicateText(byte[] bytes) {
        int[] from = texts.get(random.nextInt(texts.size()));
        List<int[]> alike = texts.stream().filter(text -> text[1] == from[1]).toList();
        int[] to = alike.get(random.nextInt(alike.size()));
        System.arraycopy(original, from[0], bytes, to[0], from[1]);
        return bytes;
    }

    /** Swaps rows and columns: a wrong shape of the same size. */
    private byte[] transpose(byte[] bytes) {
        ByteBuffer out = buffer(bytes);
        int at = matrices.get(random.nextInt(matrices.size()));
        long columns = out.getLong(at);
        out.putLong(at, out.getLong(at + Long.BYTES));
        out.putLong(at + Long.BYTES, columns);
        return bytes;
    }

    /** To another one of llama.cpp, as long as {@code llama}. */
    private byte[] changeArchitecture(byte[] bytes) {
        String[] others = {"gemma", "qwen2", "qwen3", "bloom", "mamba", "olmo2", "jamba", "LLAMA"};
        byte[] other = others[random.nextInt(others.length)].getBytes(US_ASCII);
        System.arraycopy(other, 0, bytes, architecture + Long.BYTES, other.length);
        return bytes;
    }

    private int indexOf(String text) {
        return new String(original, ISO_8859_1).indexOf(text);
    }

    private static ByteBuffer buffer(byte[] bytes) {
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    /** Walks a valid header and returns its length. */
    private int findFields(ByteBuffer in) {
        in.position(4);
        field32(in);
        long tensors = field64(in);
        long metadata = field64(in);
        for (long index = 0; index < metadata; index++) {
            text(in);
            value(in, GgufValueType.ofId(field32(in)).orElseThrow());
        }
        for (long index = 0; index < tensors; index++) {
            text(in);
            int dimensions = field32(in);
            if (dimensions == 2) {
                matrices.add(in.position());
            }
            for (int dimension = 0; dimension < dimensions; dimension++) {
                field64(in);
            }
            tensorTypes.add(in.position());
            field32(in);
            field64(in);
        }
        return in.position();
    }

    private void value(ByteBuffer in, GgufValueType type) {
        if (type == GgufValueType.STRING) {
            text(in);
        } else if (type == GgufValueType.ARRAY) {
            GgufValueType elementType = GgufValueType.ofId(field32(in)).orElseThrow();
            for (long left = field64(in); left > 0; left--) {
                value(in, elementType);
            }
        } else if (type.bytes() == 4) {
            field32(in);
        } else {
            in.position(in.position() + type.bytes());
        }
    }

    private int field32(ByteBuffer in) {
        fields32.add(in.position());
        return in.getInt();
    }

    private long field64(ByteBuffer in) {
        fields64.add(in.position());
        return in.getLong();
    }

    private void text(ByteBuffer in) {
        int length = (int) field64(in);
        texts.add(new int[] {in.position(), length});
        in.position(in.position() + length);
    }
}
