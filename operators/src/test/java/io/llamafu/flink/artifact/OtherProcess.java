package io.llamafu.flink.artifact;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * A process that uses the cache or a lock, prints its observations line by line, and runs until it is ended. Its umask
 * is 0000: whatever is private is so by the cache.
 */
final class OtherProcess implements AutoCloseable {
    private static final String OUTPUT = "#";

    private final Process process;
    private final BufferedReader lines;

    private OtherProcess(List<String> arguments) throws IOException {
        List<String> command = new ArrayList<>(List.of(
                "/bin/sh",
                "-c",
                "umask 0000; exec \"$0\" \"$@\"",
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx256m",
                "-XX:TieredStopAtLevel=1",
                "-cp",
                System.getProperty("java.class.path"),
                OtherProcess.class.getName()));
        command.addAll(arguments);
        process = new ProcessBuilder(command)
                .redirectError(ProcessBuilder.Redirect.DISCARD)
                .start();
        lines = new BufferedReader(new InputStreamReader(process.getInputStream(), UTF_8));
    }

    /** Prints "held" or "busy". */
    static OtherProcess locking(Path file) throws IOException {
        return new OtherProcess(List.of("lock", file.toString()));
    }

    /**
     * Links a file of a store, pausing in the middle if it is to hang; prints "reading" when it reads the file, then
     * "reads N".
     */
    static OtherProcess linking(RemoteStore store, Path root, Path cache, String file, boolean hangs)
            throws IOException {
        return new OtherProcess(
                List.of("link", store.name(), root.toString(), cache.toString(), file, String.valueOf(hangs)));
    }

    /** Prints the default cache in a folder for temporary files. */
    static OtherProcess preparing(Path temporaryFolder) throws IOException {
        return new OtherProcess(List.of("prepare", temporaryFolder.toString()));
    }

    /** The next line that it prints. */
    String says() throws IOException {
        String line = lines.readLine();
        while (line != null && !line.startsWith(OUTPUT)) {
            line = lines.readLine();
        }
        return line == null ? "nothing" : line.substring(OUTPUT.length());
    }

    /** As {@code kill -9}. */
    void kill() {
        process.destroyForcibly().onExit().join();
    }

    @Override
    public void close() {
        kill();
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream out = System.out;
        switch (arguments[0]) {
            case "lock" -> {
                Optional<CacheLock> lock = CacheLock.tryAcquire(Path.of(arguments[1]));
                say(out, lock.isPresent() ? "held" : "busy");
            }
            case "link" -> {
                RemoteStore store = RemoteStore.named(arguments[1], Path.of(arguments[2]));
                URI uri = store.uri(arguments[4]);
                store.onNextOpen(() -> {
                    say(out, "reading");
                    if (Boolean.parseBoolean(arguments[5])) {
                        sleep();
                    }
                });
                ArtifactCache cache = ArtifactCache.open(new ArtifactCache.Settings(Path.of(arguments[3]), 0));
                cache.link(RemoteFile.at(uri), cache.linkFolder("links").resolve("link"), () -> {});
                say(out, "reads " + store.reads(arguments[4]));
            }
            case "prepare" ->
                say(out, CacheFolder.in(Path.of(arguments[1])).prepare().toString());
            default -> throw new IllegalArgumentException(arguments[0]);
        }
        sleep();
    }

    private static void say(PrintStream out, String line) {
        out.println(OUTPUT + line);
        out.flush();
    }

    private static void sleep() {
        try {
            Thread.sleep(TimeUnit.MINUTES.toMillis(5));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
