package io.llamafu.examples.soak;

import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;
import io.llamafu.gguf.GgufTensor;

import javax.annotation.Nullable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

/**
 * The adapters of the soak test: the four trained ones; {@code rotating}, which has the weights of three of them in
 * turn; and malformed ones. All valid ones are published again and again. For one thread.
 */
final class AdapterFolder {
    /** The adapter whose weights change. */
    static final String ROTATING = "rotating";

    /** Malformed files in the folder; none of them may answer. */
    static final List<String> MALFORMED = List.of(
            "not-a-number",
            "infinite",
            "huge-alpha",
            "truncated",
            "empty",
            "no-gguf",
            "other-layers",
            "malformed-card",
            "absurd-card");

    /** The adapters whose weights {@link #ROTATING} takes in turn. */
    static final List<String> ROTATION = List.of("medical", "legal", "finance");

    private static final List<String> TRAINED = List.of("medical", "legal", "finance", "formal");
    /** One in this many publications of an adapter is the same file again. */
    private static final int SAME_FILE_EVERY = 5;

    private static final int NAME_RADIX = 36;

    /**
     * A version of an adapter.
     *
     * @param content the trained adapter whose weights it has
     * @param supersededMillis when it was replaced, since the epoch; {@link Long#MAX_VALUE} if it has not been
     */
    record Version(String digest, String content, long supersededMillis) {}

    private final Path trained;
    private final Path folder;
    private final Map<String, List<Version>> versions = new HashMap<>();
    private final Map<String, byte[]> latest = new HashMap<>();
    private int publications;

    /** @param trained the folder of the trained adapters */
    AdapterFolder(Path trained, Path folder) throws IOException {
        this.trained = trained;
        this.folder = Files.createDirectories(folder);
        for (String name : names()) {
            publish(name);
        }
        writeMalformed();
    }

    private static List<String> names() {
        List<String> names = new ArrayList<>(TRAINED);
        names.add(ROTATING);
        return names;
    }

    Path path() {
        return folder;
    }

    /** The number of publications so far. */
    int publications() {
        return publications;
    }

    /** Publishes the next adapter in turn. */
    void publishNext() throws IOException {
        List<String> names = names();
        publish(names.get(publications % names.size()));
    }

    private void publish(String name) throws IOException {
        int turn = publications / names().size();
        publications++;
        byte[] same = latest.get(name);
        if (same != null && turn % SAME_FILE_EVERY == SAME_FILE_EVERY - 1) {
            rename(name + ".gguf", same);
            return;
        }
        String content = name.equals(ROTATING) ? ROTATION.get(turn % ROTATION.size()) : name;
        byte[] file = renamed(read(content), Integer.toString(publications, NAME_RADIX));
        rename(name + ".gguf", file);
        latest.put(name, file);
        List<Version> all = versions.computeIfAbsent(name, unused -> new ArrayList<>());
        if (!all.isEmpty()) {
            Version before = all.get(all.size() - 1);
            all.set(all.size() - 1, new Version(before.digest(), before.content(), System.currentTimeMillis()));
        }
        all.add(new Version(sha256(file), content, Long.MAX_VALUE));
    }

    /** Null if the adapter was never published with this digest. */
    @Nullable
    Version version(String name, String digest) {
        return versions.getOrDefault(name, List.of()).stream()
                .filter(version -> version.digest().equals(digest))
                .findFirst()
                .orElse(null);
    }

    private byte[] read(String content) throws IOException {
        return Files.readAllBytes(trained.resolve(content + ".gguf"));
    }

    /** As users should: written completely, then renamed. */
    private void rename(String fileName, byte[] content) throws IOException {
        Path part = folder.resolve(fileName + ".part");
        Files.write(part, content);
        Files.move(part, folder.resolve(fileName), StandardCopyOption.ATOMIC_MOVE);
    }

    /** The same weights with another {@code general.name} of the same length, so that nothing else moves. */
    private static byte[] renamed(byte[] file, String name) {
        ByteBuffer value = valueOf(file, "general.name");
        byte[] characters = new byte[(int) value.getLong()];
        Arrays.fill(characters, (byte) '-');
        byte[] newName = name.getBytes(StandardCharsets.US_ASCII);
        System.arraycopy(newName, 0, characters, 0, newName.length);
        value.put(characters);
        return file;
    }

    /** A view of the file that starts at the value of a metadata key. */
    private static ByteBuffer valueOf(byte[] file, String key) {
        byte[] wanted = key.getBytes(StandardCharsets.US_ASCII);
        for (int start = 0; start + wanted.length < file.length; start++) {
            if (Arrays.equals(file, start, start + wanted.length, wanted, 0, wanted.length)) {
                return ByteBuffer.wrap(file)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .position(start + wanted.length + Integer.BYTES);
            }
        }
        throw new IllegalArgumentException("The file has no '%s'.".formatted(key));
    }

    private void writeMalformed() throws IOException {
        byte[] medical = read("medical");
        rename("not-a-number.gguf", withFirstWeight((short) 0x7e00));
        rename("infinite.gguf", withFirstWeight((short) 0x7c00));
        byte[] hugeAlpha = medical.clone();
        valueOf(hugeAlpha, "adapter.lora.alpha").putFloat(Float.MAX_VALUE);
        rename("huge-alpha.gguf", hugeAlpha);
        rename("truncated.gguf", Arrays.copyOf(medical, medical.length / 2));
        rename("empty.gguf", new byte[0]);
        rename("no-gguf.gguf", "no adapter".getBytes(StandardCharsets.US_ASCII));
        rename(
                "other-layers.gguf",
                new String(medical, StandardCharsets.ISO_8859_1)
                        .replace("blk.3.", "blk.9.")
                        .getBytes(StandardCharsets.ISO_8859_1));
        rename("malformed-card.json", "{".getBytes(StandardCharsets.US_ASCII));
        rename("malformed-card.gguf", medical);
        rename("absurd-card.json", "{\"defaultScale\": 1e38}".getBytes(StandardCharsets.US_ASCII));
        rename("absurd-card.gguf", medical);
    }

    /** All tensors of the trained adapters are F16. */
    private byte[] withFirstWeight(short bits) throws IOException {
        GgufTensor first = GgufReader.read(trained.resolve("medical.gguf"), GgufKind.ADAPTER)
                .tensors()
                .values()
                .iterator()
                .next();
        byte[] content = read("medical");
        ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN).putShort((int) first.fileOffset(), bits);
        return content;
    }

    private static String sha256(byte[] content) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(content));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("Every Java platform has SHA-256.", e);
        }
    }
}
