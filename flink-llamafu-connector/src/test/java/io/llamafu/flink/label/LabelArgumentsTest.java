package io.llamafu.flink.label;

import io.llamafu.ErrorCode;
import io.llamafu.flink.LlamafuConfigOptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class LabelArgumentsTest {
    private static final Path DOCS = Path.of("../docs");
    private static final String SCHEMA = "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}}}";

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

    /** Pairs of which one says all, or leaves the other without effect. Those of --gold and --explain see {@link #isIdle}. */
    private static final Set<Set<LabelOption>> IDLE_PAIRS = Set.of(
            Set.of(LabelOption.TEXT_FIELD, LabelOption.TEMPLATE), Set.of(LabelOption.LABELS_FILE, LabelOption.SCHEMA));

    private static boolean isIdle(LabelOption one, LabelOption other) {
        return IDLE_PAIRS.contains(Set.of(one, other))
                || (one == LabelOption.GOLD && other != LabelOption.OUTPUT)
                || (one == LabelOption.EXPLAIN
                        && Set.of(LabelOption.REVIEW, LabelOption.SCHEDULE, LabelOption.RUNS)
                                .contains(other));
    }

    /** A value, after the options without which it would have none. */
    private List<String> written(LabelOption option) throws IOException {
        return switch (option) {
            case INPUT -> List.of("--input=in");
            case OUTPUT -> List.of("--output=out");
            case FORMAT -> List.of("--format=csv");
            case CSV_DELIMITER -> List.of("--format=csv", "--csv-delimiter=;");
            case TEXT_FIELD -> List.of("--text-field=text");
            case TEMPLATE -> List.of("--template=" + file("template", "Text: {text}"));
            case TASK -> List.of("--task=complete");
            case LABELS_FILE -> List.of("--labels-file=" + file("labels", "a\nb"));
            case SCHEMA -> List.of("--schema=" + file("schema", SCHEMA));
            case STACK -> List.of("--stack=medical");
            case STACK_FIELD -> List.of("--stack-field=stack");
            case ROUTES, KEY_FIELD -> List.of("--routes=" + routes(), "--key-field=key");
            case TIME_FIELD -> List.of("--routes=" + routes(), "--key-field=key", "--time-field=time");
            case PREFIX -> List.of("--prefix=llm_");
            case PART_ROWS -> List.of("--part-rows=10");
            case PARALLELISM -> List.of("--parallelism=2");
            case GOLD_FIELD -> List.of("--gold-field=gold");
            case EXPLAIN -> List.of("--explain");
            case SCHEDULE -> List.of("--schedule=30 2 * * *");
            case RUNS -> List.of("--schedule=30 2 * * *", "--runs=3");
            case REVIEW -> List.of("--review=10");
            case GOLD -> List.of("--gold=gold.json");
            case CONFIG, HELP -> List.of();
        };
    }

    private Path file(String name, String content) throws IOException {
        return Files.writeString(folder.resolve(name), content);
    }

    private Path routes() throws IOException {
        return file("routes", "{\"key\": \"x\", \"stack\": \"legal\"}");
    }

    private void check(Collection<String> written) {
        LabelArguments arguments = LabelArguments.parse(written.toArray(String[]::new));
        if (!arguments.has(LabelOption.GOLD)) {
            LabelSettings unused = LabelSettings.of(
                    arguments,
                    LabelFormat.parse(arguments.get(LabelOption.FORMAT).orElse("jsonl")));
        }
    }

    /** Each pair has an effect, or is refused by the name of an option that has none. */
    @Test
    void optionsWithoutEffectAreRefusedInAllPairs() throws IOException {
        List<LabelOption> options = Arrays.stream(LabelOption.values())
                .filter(option -> option != LabelOption.CONFIG && option != LabelOption.HELP)
                .toList();
        for (LabelOption one : options) {
            for (LabelOption other : options) {
                if (one == other) {
                    continue;
                }
                Set<String> written = new LinkedHashSet<>(written(one));
                written.addAll(written(other));
                written.add("--output=out");
                if (!written.contains("--gold=gold.json")) {
                    written.addAll(List.of("--input=in", "--model=m.gguf"));
                    if (one != LabelOption.TEMPLATE && other != LabelOption.TEMPLATE) {
                        written.add("--text-field=text");
                    }
                }
                // The values of the test contradict each other.
                boolean otherTask = Set.of(one, other).contains(LabelOption.TASK)
                        && (written(LabelOption.LABELS_FILE).stream().anyMatch(written::contains)
                                || written(LabelOption.SCHEMA).stream().anyMatch(written::contains));

                if (isIdle(one, other) || isIdle(other, one) || otherTask) {
                    assertThatThrownBy(() -> check(written))
                            .as("%s", written)
                            .hasFieldOrPropertyWithValue("code", ErrorCode.INVALID_OPTION)
                            .message()
                            .containsAnyOf(one.key(), other.key());
                } else {
                    assertThatCode(() -> check(written)).as("%s", written).doesNotThrowAnyException();
                }
            }
        }
    }

    /** What the job decides itself, or needs another option or format for. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "--runs | --runs=3",
                "--key-field | --key-field=key",
                "--time-field | --time-field=time",
                "--prompt-in-output | --prompt-in-output=true",
                "--prompt-in-output | --prompt-in-output=false",
                "--csv-delimiter | --csv-delimiter=;",
                "--csv-delimiter | --csv-delimiter=; --format=avro",
                "--csv-delimiter | --csv-delimiter=; --format=parquet",
                "--stop | --stop=x --labels=a;b",
                "--stop | --stop=x --json-schema=" + SCHEMA,
                "--max-tokens | --max-tokens=5 --labels=a;b --multi-label=true"
            })
    void optionsWithoutWhatTheyNeedAreRefused(String option, String written) {
        List<String> all =
                new ArrayList<>(List.of("--input=in", "--output=out", "--model=m.gguf", "--text-field=text"));
        assertThatCode(() -> check(all)).doesNotThrowAnyException();
        all.addAll(List.of(written.split(" ")));

        assertThatThrownBy(() -> check(all))
                .hasFieldOrPropertyWithValue("code", ErrorCode.INVALID_OPTION)
                .hasMessageContaining(option);
    }

    /** A file describes the job; what the command line asks of it needs a part only. */
    @Test
    void fileOfTheJobServesEveryCommand() throws IOException {
        Path config = file(
                "job.properties",
                "input = in\noutput = out\nmodel = m.gguf\ntext-field = text\nreview = 5\nschedule = 30 2 * * *\nruns = 3\n");

        check(List.of("--config=" + config));
        check(List.of("--config=" + config, "--explain"));
        check(List.of("--config=" + config, "--gold=gold.json"));
        assertThatThrownBy(() -> check(List.of("--config=" + config, "--gold=gold.json", "--review=5")))
                .hasMessageContaining("--review");
        assertThatThrownBy(() -> check(List.of("--config=" + file("runs.properties", "runs = 3\noutput = out\n"))))
                .hasMessageContaining("--runs");
        assertThatThrownBy(() -> check(List.of("--config=" + file("gold.properties", "gold = g\nmodel = m\n"))))
                .hasMessageContaining("--model");
    }
}
