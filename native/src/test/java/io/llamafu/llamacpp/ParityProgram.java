package io.llamafu.llamacpp;

import io.llamafu.testing.Programs;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

/** A program of {@code src/test/cpp} that compares what our C++ computes with a reference. */
final class ParityProgram {
    private static final Path FOLDER = Path.of("target", "native", "cmake");

    private ParityProgram() {}

    /** Runs a program and shows its figures; it must end with success and the word PASSED. */
    static void assertPasses(String name, String... arguments) throws Exception {
        assumeThat(NativeLibrary.isPackaged())
                .as("the native library was built")
                .isTrue();
        Path program = FOLDER.resolve(name);
        assertThat(program).isExecutable();

        List<String> command = new ArrayList<>(List.of(program.toAbsolutePath().toString()));
        command.addAll(List.of(arguments));
        String output = Programs.run(command);

        System.out.print(output);
        assertThat(output.stripTrailing()).endsWith("PASSED");
    }
}
