package io.llamafu.gguf;

import java.net.URISyntaxException;
import java.net.URL;
import java.nio.file.Path;

import static java.util.Objects.requireNonNull;

/** The trained model and the adapters under {@code src/test/resources/tiny}. */
public final class TinyModels {
    private TinyModels() {}

    public static Path base() {
        return file("base-q8_0.gguf");
    }

    /** One of medical, legal, finance, formal. */
    public static Path adapter(String name) {
        return file(name + ".gguf");
    }

    public static Path file(String name) {
        URL url = requireNonNull(TinyModels.class.getResource("/tiny/" + name), name);
        try {
            return Path.of(url.toURI());
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }
}
