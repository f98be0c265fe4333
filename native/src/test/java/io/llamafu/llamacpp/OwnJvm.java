package io.llamafu.llamacpp;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

/** A JVM whose own memory is constant, so that growth is native memory. */
public final class OwnJvm {
    private OwnJvm() {}

    /** Runs a class, which must end successfully, and returns the last line that it prints. */
    public static String run(Class<?> main, List<String> arguments, int timeoutMinutes) throws Exception {
        return run(main, List.of(), arguments, timeoutMinutes);
    }

    /** The same, with flags for the JVM. */
    public static String run(Class<?> main, List<String> flags, List<String> arguments, int timeoutMinutes)
            throws Exception {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xms128m",
                "-Xmx128m",
                "-XX:+AlwaysPreTouch",
                "-cp",
                System.getProperty("java.class.path"),
                main.getName()));
        command.addAll(1, flags);
        command.addAll(arguments);
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), UTF_8);
        assertThat(process.waitFor(timeoutMinutes, TimeUnit.MINUTES)).isTrue();
        assertThat(process.exitValue()).as(output).isZero();
        return output.strip().lines().reduce((first, second) -> second).orElseThrow();
    }

    /** Of this process, in bytes. */
    public static long residentBytes() {
        return status("VmRSS:");
    }

    /** The peak of this process. */
    public static long peakResidentBytes() {
        return status("VmHWM:");
    }

    private static long status(String field) {
        try {
            return Files.readAllLines(Path.of("/proc/self/status")).stream()
                    .filter(line -> line.startsWith(field))
                    .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) * 1024)
                    .findFirst()
                    .orElseThrow();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
