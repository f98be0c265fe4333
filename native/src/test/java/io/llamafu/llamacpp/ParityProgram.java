package io.llamafu.llamacpp;

import io.llamafu.testing.Programs;

import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

/** A program of {@code src/test/cpp} that compares what our C++ computes with a reference. */
final class ParityProgram {
    private static final Path FOLDER = Path.of("target", "native", "cmake");

    private ParityProgram() {}

    /** Runs a program and shows its figures; it must end with success and the word PASSED. */
    static void assertPasses(String name) throws Exception {
        assumeThat(NativeLibrary.isPackaged())
                .as("the native library was built")
                .isTrue();
        Path program = FOLDER.resolve(name);
        assertThat(program).isExecutable();

        String output = Programs.run(program.toAbsolutePath().toString());

        System.out.print(output);
        assertThat(output.stripTrailing()).endsWith("PASSED");
    }
}
