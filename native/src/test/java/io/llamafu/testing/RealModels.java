package io.llamafu.testing;

import org.opentest4j.TestAbortedException;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Models with real weights, which {@code examples/models/fetch} puts into the cache folder. A test that asks for one that
 * is not there is skipped.
 */
public final class RealModels {
    private static final String SMOLLM2 = "smollm2-135m-instruct";
    private static final String GEMMA3 = "gemma3-270m";
    private static final Map<String, Optional<Path>> FOUND = Map.of(SMOLLM2, locate(SMOLLM2), GEMMA3, locate(GEMMA3));

    private RealModels() {}

    /** SmolLM2-135M-Instruct: architecture llama, Q4_1, with a chat template. */
    public static Path smolLm2() {
        return require(SMOLLM2);
    }

    /** Gemma 3 270M, not tuned for instructions: architecture gemma3, Q4_K_M. */
    public static Path gemma3() {
        return require(GEMMA3);
    }

    private static Path require(String name) {
        return FOUND.get(name).orElseThrow(() -> new TestAbortedException(skipped(name)));
    }

    private static String skipped(String name) {
        return "skipped: tests with the weights of %s; 'examples/models/fetch %s' gets them".formatted(name, name);
    }

    /** Says once that tests will be skipped. */
    private static Optional<Path> locate(String name) {
        Path folder = cache().resolve("models").resolve(name);
        if (Files.isDirectory(folder)) {
            try (Stream<Path> files = Files.list(folder)) {
                Optional<Path> model =
                        files.filter(file -> file.toString().endsWith(".gguf")).findFirst();
                if (model.isPresent()) {
                    return model;
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
        System.out.println(skipped(name));
        return Optional.empty();
    }

    /** The same folder as {@code cache_dir} of {@code native/build-common.sh}. */
    private static Path cache() {
        return environment("LLAMAFU_CACHE")
                .or(() -> environment("XDG_CACHE_HOME").map(folder -> folder.resolve("llamafu")))
                .orElseGet(() -> environment("HOME")
                        .orElse(Path.of(System.getProperty("user.home")))
                        .resolve(".cache/llamafu"));
    }

    private static Optional<Path> environment(String name) {
        return Optional.ofNullable(System.getenv(name))
                .filter(value -> !value.isEmpty())
                .map(Path::of);
    }
}
