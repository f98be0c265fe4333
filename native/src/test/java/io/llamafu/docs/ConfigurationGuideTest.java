package io.llamafu.docs;

import io.llamafu.engine.EngineOptions;
import io.llamafu.gguf.ModelMemory;
import org.junit.jupiter.api.Test;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;

import static org.assertj.core.api.Assertions.assertThat;

/** The figures in docs/configuration.md are those of the code. */
class ConfigurationGuideTest {
    private static final int LAYERS = 22;
    private static final int KEY_VALUE_HEADS = 4;
    private static final int HEAD = 64;

    @Test
    void memoryOfTheExampleIsAsTheGuideSays() throws Exception {
        String guide = Files.readString(Path.of("../docs/configuration.md")).replaceAll("\\s+", " ");
        long cell = (long) LAYERS * KEY_VALUE_HEADS * (HEAD + HEAD) * Short.BYTES;
        ModelMemory memory = new ModelMemory(cell, 0);
        EngineOptions defaults = EngineOptions.builder(Path.of("base.gguf")).build();
        long reserved = memory.bytes(defaults.parallelSequences(), defaults.contextSize());
        long longer = memory.bytes(defaults.parallelSequences(), 8192);

        assertThat(guide)
                .contains("%d KiB for a model of %d layers with %d key-value heads of %d"
                        .formatted(cell >> 10, LAYERS, KEY_VALUE_HEADS, HEAD))
                .contains("the defaults reserve %d MiB for it".formatted(reserved >> 20))
                .contains(String.format(
                        Locale.ROOT, "or %.2f GiB with a `context-size` of 8,192", longer / (double) (1 << 30)));
    }
}
