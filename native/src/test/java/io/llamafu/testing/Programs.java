package io.llamafu.testing;

import java.io.IOException;
import java.util.List;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

/** Runs programs. */
public final class Programs {
    private Programs() {}

    public static String run(String... command) throws IOException, InterruptedException {
        return run(List.of(command));
    }

    /** What a program writes to its output; it must end with success. Its error output goes to ours. */
    public static String run(List<String> command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command)
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        String output = new String(process.getInputStream().readAllBytes(), UTF_8);
        assertThat(process.waitFor()).as(output).isZero();
        return output;
    }
}
