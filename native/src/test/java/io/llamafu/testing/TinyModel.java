package io.llamafu.testing;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.EngineOptions;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** The trained tiny model, its four adapters and their known answers. */
public final class TinyModel {
    private static final Path FOLDER = locate();

    private TinyModel() {}

    /** A prompt under one stack. */
    public record Golden(String prompt, AdapterStack stack, String expected) {}

    /** The folder of the files; other modules have them in a jar, from which they are extracted once. */
    public static Path folder() {
        return FOLDER;
    }

    private static Path locate() {
        try {
            URI tiny = TinyModel.class.getResource("/tiny").toURI();
            return tiny.getScheme().equals("file") ? Path.of(tiny) : extract(tiny);
        } catch (URISyntaxException | IOException e) {
            throw new IllegalStateException(e);
        }
    }

    private static Path extract(URI tiny) throws IOException {
        Path target = Files.createTempDirectory("llamafu-tiny");
        try (FileSystem jar = FileSystems.newFileSystem(tiny, Map.of());
                Stream<Path> files = Files.walk(jar.getPath("/tiny"))) {
            for (Path file : files.toList()) {
                Path copy = target.resolve(jar.getPath("/tiny").relativize(file).toString());
                if (Files.isDirectory(file)) {
                    Files.createDirectories(copy);
                } else {
                    Files.copy(file, copy);
                }
                copy.toFile().deleteOnExit();
            }
        }
        return target;
    }

    public static Path model() {
        return folder().resolve("tiny-notes-q8_0.gguf");
    }

    /** The folder of medical, legal, finance and formal. */
    public static Path adapters() {
        return folder().resolve("adapters");
    }

    /** Publishes an adapter as users should: completely written, then renamed. */
    public static void publish(Path folder, String name, String content) throws IOException {
        Path part = folder.resolve(name + ".part");
        Files.copy(adapters().resolve(content + ".gguf"), part);
        Files.move(part, folder.resolve(name + ".gguf"), StandardCopyOption.ATOMIC_MOVE);
    }

    /**
     * 16 sequences of the 512 tokens that the model was trained for, on one thread, because it is too small to gain
     * from two.
     */
    public static EngineOptions.Builder options() {
        return EngineOptions.builder(model())
                .adapters(adapters())
                .contextSize(512)
                .threads(1);
    }

    /**
     * Options for work without end: sequences that share 32,768 tokens. An answer that uses them up takes far longer than
     * whatever a test does meanwhile, on a fast machine too.
     */
    public static EngineOptions.Builder longOptions(int sequences) {
        return EngineOptions.builder(longModel())
                .adapters(adapters())
                .contextSize(LongModel.TOKENS / sequences)
                .parallelSequences(sequences)
                .threads(1);
    }

    /** The model of {@link #longOptions}. */
    public static Path longModel() {
        return LongModel.FILE;
    }

    /** The model with a claim that it was trained for more tokens. */
    private static final class LongModel {
        private static final int TOKENS = 1 << 15;
        private static final String KEY = "llama.context_length";
        private static final Path FILE = write();

        private static Path write() {
            try {
                byte[] model = Files.readAllBytes(model());
                int key = new String(model, StandardCharsets.ISO_8859_1).indexOf(KEY);
                int type = Integer.BYTES;
                ByteBuffer.wrap(model).order(ByteOrder.LITTLE_ENDIAN).putInt(key + KEY.length() + type, TOKENS);
                Path file = Files.createTempFile("llamafu-long", ".gguf");
                file.toFile().deleteOnExit();
                return Files.write(file, model);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    /** The prompt template that the model was trained with. */
    public static String prompt(String text) {
        return "### Text:\n" + text + "\n### Answer:\n";
    }

    /** 250 prompts under 12 stacks each. */
    public static List<Golden> golden() {
        ObjectMapper json = new ObjectMapper();
        List<Golden> golden = new ArrayList<>();
        try {
            for (String line : Files.readAllLines(folder().resolve("golden.jsonl"))) {
                JsonNode row = json.readTree(line);
                for (Map.Entry<String, JsonNode> expected : row.get("expected").properties()) {
                    golden.add(new Golden(
                            row.get("prompt").asText(),
                            stack(expected.getKey()),
                            expected.getValue().asText()));
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return golden;
    }

    /** The file writes {@code base} and {@code medical@0.5}. */
    private static AdapterStack stack(String key) {
        return AdapterStack.parse(key.equals("base") ? "" : key.replace('@', ':'));
    }
}
