package io.llamafu.flink.label;

import io.llamafu.flink.LlamafuConfigOptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class LabelArgumentsTest {
    private static final Path DOCS = Path.of("../docs");

    @TempDir
    Path folder;

    @Test
    void optionsOfTheEngineAndOfTheJobAreToldApart() {
        LabelArguments arguments = LabelArguments.parse(
                "--input",
                "a",
                "b",
                "--model=m.gguf",
                "--temperature",
                "-1",
                "--adapters.files.x",
                "x.gguf",
                "--explain");

        assertThat(arguments.values())
                .isEqualTo(Map.of(LabelOption.INPUT, List.of("a", "b"), LabelOption.EXPLAIN, List.of()));
        assertThat(arguments.engine())
                .isEqualTo(Map.of("model", "m.gguf", "temperature", "-1", "adapters.files.x", "x.gguf"));
    }

    @Test
    void mistakesAreNamed() {
        assertThatThrownBy(() -> LabelArguments.parse("--modell", "x")).hasMessageContaining("no option '--modell'");
        assertThatThrownBy(() -> LabelArguments.parse("model")).hasMessageContaining("'model' is no option");
        assertThatThrownBy(() -> LabelArguments.parse("--model", "--explain"))
                .hasMessageContaining("--model has no value");
        assertThatThrownBy(() -> LabelArguments.parse("--model", "a", "--model", "b"))
                .hasMessageContaining("--model is given twice");
        assertThatThrownBy(() -> LabelArguments.parse("--explain=now")).hasMessageContaining("takes no value");
    }

    @Test
    void commandLineOverridesTheFile() throws IOException {
        Path config = Files.writeString(
                folder.resolve("job.properties"), "model = a.gguf\ninput = x;y\nprompt-template = Text: {text}\\n\n");

        LabelArguments arguments = LabelArguments.parse("--config", config.toString(), "--model", "b.gguf");

        assertThat(arguments.engine()).isEqualTo(Map.of("model", "b.gguf", "prompt-template", "Text: {text}\n"));
        assertThat(arguments.values()).containsEntry(LabelOption.INPUT, List.of("x", "y"));
    }

    @Test
    void noOptionOfTheJobHidesOneOfTheEngine() {
        assertThat(LlamafuConfigOptions.all())
                .noneMatch(option -> LabelOption.find(option.key()).isPresent());
    }

    @Test
    void everyOptionIsDocumented() throws IOException {
        String page = Files.readString(DOCS.resolve("labelling.md"));

        assertThat(Arrays.stream(LabelOption.values()).map(option -> "| `" + option.key() + "` |"))
                .allMatch(page::contains);
    }
}
