package io.llamafu.docs;

import io.llamafu.engine.EngineOptions;
import io.llamafu.gguf.ModelMemory;
import org.junit.jupiter.api.Test;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

import static org.assertj.core.api.Assertions.assertThat;

/** The figures in docs/configuration.md are those of the code. */
class ConfigurationGuideTest {
    private static final Path GUIDE = Path.of("../docs/configuration.md");
    private static final int LONG_CONTEXT = 8192;

    /** A row of the table of caches. */
    private record Example(List<String> columns) {
        private int number(int column) {
            return Integer.parseInt(columns.get(column));
        }

        private long cellBytes() {
            int widthOfKeyAndValue = 2 * number(3);
            return (long) number(1) * number(2) * widthOfKeyAndValue * Short.BYTES;
        }

        private String cache(int contextSize) {
            EngineOptions options = EngineOptions.builder(Path.of("base.gguf"))
                    .contextSize(contextSize)
                    .build();
            long bytes = new ModelMemory(cellBytes(), 0)
                    .bytes(options.parallelSequences(), Math.min(options.contextSize(), number(4)));
            return String.format(Locale.ROOT, "%.2f GiB", bytes / (double) (1 << 30));
        }

        private List<String> computed() {
            int defaultContext =
                    EngineOptions.builder(Path.of("base.gguf")).build().contextSize();
            return List.of(
                    String.format(Locale.ROOT, "%.1f KiB", cellBytes() / 1024.0),
                    cache(defaultContext),
                    cache(LONG_CONTEXT));
        }
    }

    @Test
    void cachesOfTheExamplesAreAsTheGuideSays() throws Exception {
        List<Example> examples = Files.readAllLines(GUIDE).stream()
                .dropWhile(line -> !line.startsWith("| model | layers |"))
                .skip(2)
                .takeWhile(line -> line.startsWith("|"))
                .map(line -> new Example(Arrays.stream(line.substring(1).split("\\|"))
                        .map(String::strip)
                        .toList()))
                .toList();

        assertThat(examples).hasSizeGreaterThan(2).allSatisfy(example -> assertThat(
                        example.columns().subList(5, 8))
                .isEqualTo(example.computed()));
    }
}
