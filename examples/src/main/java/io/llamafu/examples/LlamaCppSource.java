package io.llamafu.examples;

import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

import static java.nio.charset.StandardCharsets.UTF_8;

/** The pinned source of llama.cpp, which the build of the native library keeps in its cache. */
final class LlamaCppSource {
    private static final int MOST_MINUTES = 15;

    private LlamaCppSource() {}

    /** Its folder; the source is fetched if it is not in the cache. */
    static Path folder() throws IOException, InterruptedException {
        Path script = Path.of(System.getProperty("llamafu.examples", "examples"))
                .toAbsolutePath()
                .resolveSibling("native")
                .resolve("fetch-llama-cpp.sh");
        Process process = new ProcessBuilder(script.toString())
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        try {
            if (!process.waitFor(MOST_MINUTES, TimeUnit.MINUTES) || process.exitValue() != 0) {
                throw new IOException("'%s' did not get the source of llama.cpp.".formatted(script));
            }
            // One line, which the pipe holds.
            return Path.of(new String(process.getInputStream().readAllBytes(), UTF_8).strip());
        } finally {
            process.descendants().forEach(ProcessHandle::destroyForcibly);
            process.destroyForcibly();
        }
    }
}
