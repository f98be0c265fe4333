package io.llamafu.llamacpp;

import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Collectors;

/**
 * The packed kernels compute what the quantized weights say, and a row has the same bits whatever else is in its batch.
 * {@code src/test/cpp/packed_parity*.cpp}, which the build of the library compiles, define the comparison and its
 * tolerance.
 */
class PackedKernelsTest {
    private static final int TEXTS = 60;

    /** The texts are such as the tiny model was trained to label. */
    @Test
    void perplexityIsThatOfLlamaCpp(@TempDir Path folder) throws Exception {
        Path text = folder.resolve("text");
        Files.writeString(
                text,
                TinyModel.golden().stream()
                        .map(TinyModel.Golden::prompt)
                        .distinct()
                        .limit(TEXTS)
                        .collect(Collectors.joining("\n")));

        ParityProgram.assertPasses("packed_perplexity", TinyModel.model().toString(), text.toString());
    }

    @Test
    void rowsHaveTheSameBitsInEveryBatch() throws Exception {
        ParityProgram.assertPasses("packed_parity");
    }
}
