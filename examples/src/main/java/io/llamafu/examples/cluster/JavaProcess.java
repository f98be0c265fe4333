package io.llamafu.examples.cluster;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.OptionalLong;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** A separate JVM whose output goes to a file. */
public final class JavaProcess {
    private static final int SHOWN_LINES = 30;
    private static final long STOP_SECONDS = 15;

    private final String name;
    private final Process process;
    private final Path output;

    private JavaProcess(String name, Process process, Path output) {
        this.name = name;
        this.process = process;
        this.output = output;
    }

    /**
     * Starts a JVM of the same installation as this one.
     *
     * @param arguments of {@code java}: flags, class path, main class, its arguments
     * @param folder working directory
     * @param output file for its output
     */
    static JavaProcess start(
            String name, List<String> arguments, Path folder, Map<String, String> environment, Path output)
            throws IOException {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(arguments);
        ProcessBuilder builder = new ProcessBuilder(command)
                .directory(folder.toFile())
                .redirectErrorStream(true)
                .redirectOutput(output.toFile());
        builder.environment().putAll(environment);
        return new JavaProcess(name, builder.start(), output);
    }

    public String name() {
        return name;
    }

    public long pid() {
        return process.pid();
    }

    /** The resident memory of the process in bytes; empty if it has ended. */
    public OptionalLong residentBytes() {
        try {
            return OptionalLong.of(residentBytes(pid()));
        } catch (IOException | NoSuchElementException e) {
            return OptionalLong.empty();
        }
    }

    /** @throws NoSuchElementException if the process has ended and its parent has not yet noticed */
    static long residentBytes(long pid) throws IOException {
        try (Stream<String> status = Files.lines(Path.of("/proc/%d/status".formatted(pid)))) {
            String line =
                    status.filter(text -> text.startsWith("VmRSS:")).findFirst().orElseThrow();
            return 1024L * Long.parseLong(line.replaceAll("\\D", ""));
        }
    }

    public boolean isAlive() {
        return process.isAlive();
    }

    /** @throws IllegalStateException if it has ended; the message has its last lines */
    void requireAlive() {
        if (!process.isAlive()) {
            throw ended();
        }
    }

    private IllegalStateException ended() {
        return new IllegalStateException(howItEnded());
    }

    /** The exit code and last lines of an ended process. */
    public String howItEnded() {
        return "%s ended with %d. The end of %s:%n%s".formatted(name, process.exitValue(), output, lastLines());
    }

    /**
     * Waits for its end and returns all its output.
     *
     * @throws IllegalStateException if it is not done in time, after which it is killed, or its exit code is not 0
     */
    String awaitSuccess(long seconds) throws InterruptedException, IOException {
        if (!process.waitFor(seconds, TimeUnit.SECONDS)) {
            kill();
            throw new IllegalStateException(
                    "%s has not ended within %d s. The end of %s:%n%s".formatted(name, seconds, output, lastLines()));
        }
        if (process.exitValue() != 0) {
            throw ended();
        }
        return Files.readString(output);
    }

    /** {@code kill -9}. Waits until the process is gone. */
    public void kill() throws InterruptedException {
        process.destroyForcibly().waitFor(STOP_SECONDS, TimeUnit.SECONDS);
    }

    void askToEnd() {
        process.destroy();
    }

    /** After {@link #askToEnd}: waits, and then kills the process if it is still running. */
    void awaitEnd() {
        boolean ended = false;
        try {
            ended = process.waitFor(STOP_SECONDS, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        if (!ended) {
            process.destroyForcibly();
        }
    }

    private String lastLines() {
        try {
            List<String> lines = new String(Files.readAllBytes(output), StandardCharsets.UTF_8)
                    .lines()
                    .toList();
            return String.join(
                    System.lineSeparator(), lines.subList(Math.max(0, lines.size() - SHOWN_LINES), lines.size()));
        } catch (IOException e) {
            return "not readable: " + e;
        }
    }
}
