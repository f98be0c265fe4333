package io.llamafu.flink.label;

import com.fasterxml.jackson.databind.JsonNode;
import io.llamafu.ErrorCode;
import io.llamafu.flink.Notes;
import io.llamafu.testing.TinyModel;
import org.apache.flink.runtime.testutils.MiniClusterResourceConfiguration;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.util.FileUtils;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.Stream;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

/** The label job, on the trained model. */
@Timeout(value = 240, unit = TimeUnit.SECONDS)
class LabelJobIT {
    @RegisterExtension
    static final MiniClusterExtension CLUSTER = new MiniClusterExtension(new MiniClusterResourceConfiguration.Builder()
            .setNumberTaskManagers(1)
            .setNumberSlotsPerTaskManager(2)
            .build());

    @TempDir
    Path folder;

    private Path input;
    private Path output;
    private Path adapters;

    @BeforeEach
    void createFolders() throws IOException {
        input = Files.createDirectory(folder.resolve("input"));
        output = folder.resolve("output");
        adapters = TinyModel.adapters();
    }

    private record Result(int code, String out, String err) {
        JsonNode summary() throws IOException {
            return TicketFiles.JSON.readTree(out);
        }

        void assertRows(long rows, long errors, long asked) throws IOException {
            assertThat(summary().get("rows").asLong()).as("%s%s", out, err).isEqualTo(rows);
            assertThat(summary().get("errors").asLong()).as("%s%s", out, err).isEqualTo(errors);
            assertThat(summary().get("asked").asLong()).as("%s%s", out, err).isEqualTo(asked);
        }
    }

    private Result label(String... options) {
        List<String> all = new ArrayList<>(List.of(
                "--input=" + input,
                "--output=" + output,
                "--model=" + TinyModel.model(),
                "--adapters=" + adapters,
                "--prompt-template=" + TinyModel.prompt("{text}"),
                "--adapters.refresh-interval=0 s",
                "--threads=1",
                "--max-tokens=48"));
        if (Stream.of(options)
                .noneMatch(option -> option.startsWith("--text-field") || option.startsWith("--template"))) {
            all.add("--text-field=text");
        }
        all.addAll(Arrays.asList(options));
        return run(all.toArray(new String[0]));
    }

    private static Result run(String... options) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        int code = LabelJob.run(
                new PrintStream(out, true, UTF_8),
                new Progress(new PrintStream(err, true, UTF_8), false, System::nanoTime),
                options);
        return new Result(code, out.toString(UTF_8), err.toString(UTF_8));
    }

    private static List<TicketFiles.Ticket> tickets(int from, int to) {
        return IntStream.range(from, to)
                .mapToObj(i -> new TicketFiles.Ticket(i, Notes.text(i), "medical"))
                .toList();
    }

    private void write(String name, int from, int to) throws IOException {
        Path file = input.resolve(name);
        Files.createDirectories(file.getParent());
        Files.write(
                file,
                IntStream.range(from, to)
                        .mapToObj(i -> "{\"id\": %d, \"text\": %s}".formatted(i, quoted(Notes.text(i))))
                        .toList());
    }

    private static String quoted(String text) {
        return new String(TicketFiles.json(text), UTF_8);
    }

    /** The rows of the output in the order of files and lines. */
    private List<JsonNode> rows() throws IOException {
        List<JsonNode> rows = new ArrayList<>();
        for (Path file : files(output, ".jsonl")) {
            for (String line : Files.readAllLines(file)) {
                rows.add(TicketFiles.JSON.readTree(line));
            }
        }
        return rows;
    }

    private static List<Path> files(Path folder, String suffix) throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            return files.filter(file -> file.toString().endsWith(suffix))
                    .filter(file -> !folder.relativize(file).toString().startsWith(".llamafu"))
                    .sorted()
                    .toList();
        }
    }

    private static List<String> all(List<JsonNode> rows, String field) {
        return rows.stream().map(row -> row.path(field).asText(null)).toList();
    }

    @ParameterizedTest
    @EnumSource
    void everyFormatKeepsItsColumnsAndGainsOurs(LabelFormat format) throws IOException {
        TicketFiles.write(format, input.resolve("a" + format.suffix()), tickets(0, 20));
        Path sub = Files.createDirectory(input.resolve("sub"));
        TicketFiles.write(format, sub.resolve("a" + format.suffix()), tickets(20, 30));

        Result result = label("--stack=medical", "--part-rows=8", "--format=" + format);

        result.assertRows(30, 0, 30);
        assertThat(result.code()).isZero();
        assertThat(files(output, format.suffix())).hasSize(5);
        List<Map<String, Object>> rows = new ArrayList<>();
        for (Path file : files(output, format.suffix())) {
            rows.addAll(TicketFiles.read(format, file));
        }
        assertThat(rows).hasSize(30);
        for (int i = 0; i < rows.size(); i++) {
            assertThat(rows.get(i).get("id")).hasToString(String.valueOf(i));
            assertThat(rows.get(i).get("text")).isEqualTo(Notes.text(i));
            assertThat(rows.get(i).get("answer")).isEqualTo(Notes.answer(Notes.text(i), "medical"));
            assertThat(rows.get(i).get("stack")).isEqualTo("medical");
            assertThat(String.valueOf(rows.get(i).get("adapters"))).matches("medical:1\\.0@[0-9a-f]{64}");
            assertThat(String.valueOf(rows.get(i).get("error_code"))).isIn("null", "");
        }
        label("--stack=medical", "--format=" + format).assertRows(30, 0, 0);
    }

    @Test
    void onlyWhatIsNewIsAsked() throws IOException {
        write("a.jsonl", 0, 30);
        write("b.jsonl", 30, 40);
        label("--stack=legal").assertRows(40, 0, 40);
        List<JsonNode> before = rows();

        label("--stack=legal").assertRows(40, 0, 0);
        assertThat(rows()).isEqualTo(before);

        write("c.jsonl", 40, 45);
        label("--stack=legal").assertRows(45, 0, 5);
        // Another column is no new question, nor is the name of a file, nor is a prefix of our columns.
        Files.writeString(
                input.resolve("a.jsonl"),
                Files.readString(input.resolve("a.jsonl")).replace("{\"id\"", "{\"n\": 1, \"id\""));
        Files.move(input.resolve("b.jsonl"), input.resolve("d.jsonl"));
        label("--stack=legal", "--prefix=llm_").assertRows(55, 0, 0);
        assertThat(all(rows(), "llm_answer").stream().filter(answer -> answer != null))
                .hasSize(45);
    }

    @Test
    void rowsThatMoveKeepTheirAnswers() throws IOException {
        write("a.jsonl", 0, 40);
        label("--stack=legal", "--part-rows=10").assertRows(40, 0, 40);
        List<String> lines = new ArrayList<>(Files.readAllLines(input.resolve("a.jsonl")));
        lines.add(0, "{\"id\": 99, \"text\": %s}".formatted(quoted(Notes.text(99))));
        Files.write(input.resolve("a.jsonl"), lines);

        Result result = label("--stack=legal");

        assertThat(result.summary().get("asked").asLong()).isBetween(1L, 5L);
        assertThat(rows()).hasSize(41);
        Files.write(input.resolve("a.jsonl"), lines.subList(0, 15));
        label("--stack=legal").assertRows(15, 0, 0);
        assertThat(rows()).hasSize(15);
    }

    @Test
    void republishedAdapterLabelsOnlyItsRows() throws IOException {
        adapters = Files.createDirectory(folder.resolve("adapters"));
        for (String name : List.of("medical", "legal", "finance")) {
            Files.copy(TinyModel.adapters().resolve(name + ".gguf"), adapters.resolve(name + ".gguf"));
        }
        Files.write(
                input.resolve("a.jsonl"),
                IntStream.range(0, 40)
                        .mapToObj(i -> "{\"stack\": \"%s\", \"text\": %s}"
                                .formatted(i % 4 == 0 ? "medical" : i % 4 == 1 ? "legal" : "", quoted(Notes.text(i))))
                        .toList());
        String[] options = {"--stack-field=stack", "--prefix=x_"};
        label(options).assertRows(40, 0, 40);

        Path next = Files.copy(adapters.resolve("finance.gguf"), adapters.resolve("next"));
        Files.move(next, adapters.resolve("medical.gguf"), StandardCopyOption.REPLACE_EXISTING);
        label(options).assertRows(40, 0, 10);
        assertThat(rows())
                .filteredOn(row -> row.get("stack").asText().equals("medical"))
                .allSatisfy(row -> assertThat(row.get("x_answer").asText())
                        .isEqualTo(Notes.answer(row.get("text").asText(), "finance")));

        // Back again: those answers are still there.
        Files.copy(
                TinyModel.adapters().resolve("medical.gguf"),
                adapters.resolve("medical.gguf"),
                StandardCopyOption.REPLACE_EXISTING);
        label(options).assertRows(40, 0, 0);
    }

    @Test
    void everyHostileRowIsACodedRow() throws IOException {
        byte[] invalid = "{\"text\": \"?\"}\n".getBytes(UTF_8);
        invalid["{\"text\": \"".length()] = (byte) 0xFF;
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        content.write(invalid);
        String lines =
                """
                {"text": "unclosed
                {"other": 1}
                {"text": 5}
                {"text": null}
                {"text": "\\ud800"}
                {"text": ""}
                {"text": "ok", "stack": "no-such-adapter"}
                {"text": "ok", "stack": "medical:x"}
                {"text": "ok", "stack": "\\ud800"}
                {"text": "%s"}
                """;
        content.write(lines.formatted("word ".repeat(1 << 20)).getBytes(UTF_8));
        content.write("{\"text\": %s}".formatted(quoted(Notes.text(1))).getBytes(UTF_8));
        Files.write(input.resolve("a.jsonl"), content.toByteArray());

        Result result = label("--stack-field=stack", "--prefix=x_");

        assertThat(result.code()).as(result.err()).isEqualTo(1);
        assertThat(all(rows(), "x_error_code"))
                .containsExactly(
                        "INVALID_TEXT",
                        "MALFORMED_ROW",
                        "INVALID_REQUEST",
                        "INVALID_REQUEST",
                        "INVALID_REQUEST",
                        "INVALID_TEXT",
                        "INVALID_REQUEST",
                        "ADAPTER_NOT_FOUND",
                        "INVALID_REQUEST",
                        "INVALID_REQUEST",
                        "PROMPT_TOO_LONG",
                        null);
        assertThat(all(rows(), "x_error").get(1)).contains("a.jsonl, line 2: no JSON");
        result = label("--stack-field=stack", "--prefix=x_");
        result.assertRows(12, 11, 0);
        assertThat(files(output.resolve("_report"), ".html")).hasSize(1);
    }

    /** A null without a code would be an answer that no run asks for again. */
    @Test
    void nullInPlaceOfAnErrorIsRefused() throws IOException {
        write("a.jsonl", 0, 1);

        Result result = label("--on-error=null", "--stack=no-such-adapter");

        assertThat(result.code()).as(result.out()).isEqualTo(LabelJob.WRONG_OPTIONS);
        assertThat(result.err()).contains("INVALID_OPTION", "on-error", "emit");
        assertThat(output).doesNotExist();
    }

    @Test
    void columnsNamedLikeOursNeedAPrefix() throws IOException {
        Files.writeString(input.resolve("a.jsonl"), "{\"text\": \"a\", \"answer\": \"b\"}\n");

        Result result = label();

        assertThat(result.code()).isEqualTo(2);
        assertThat(result.err()).contains("has a column 'answer'").contains("--prefix");
        assertThat(label("--prefix=llm_").code()).isZero();
    }

    @Test
    void unreadableFilesDoNotKeepOthersFromBeingLabelled() throws IOException {
        write("a.jsonl", 0, 3);
        Files.createDirectory(input.resolve("b"));
        Files.createSymbolicLink(input.resolve("b").resolve("gone.jsonl"), folder.resolve("nowhere"));
        Files.write(input.resolve("c.jsonl"), new byte[] {0x1F, (byte) 0x8B, 8, 0});

        Result result = label("--stack=legal");

        assertThat(result.code()).isEqualTo(1);
        result.assertRows(3, 0, 3);
        assertThat(result.err()).contains(ErrorCode.INPUT_UNAVAILABLE.name()).contains("c.jsonl");
    }

    @Test
    void brokenAvroIsReported() throws IOException {
        TicketFiles.write(LabelFormat.AVRO, input.resolve("a.avro"), tickets(0, 30));
        byte[] whole = Files.readAllBytes(input.resolve("a.avro"));
        Files.write(input.resolve("b.avro"), Arrays.copyOf(whole, whole.length - 20));

        Result result = label("--format=avro", "--stack=legal");

        assertThat(result.code()).isEqualTo(1);
        result.assertRows(30, 0, 30);
        assertThat(result.err()).contains("b.avro");
    }

    @Test
    void filesOfOneNameHaveTheirOwnOutputs() throws IOException {
        write("x/a.jsonl", 0, 3);
        write("y/a.jsonl", 3, 6);

        Result result = label(
                "--stack=legal",
                "--input",
                input.resolve("x/a.jsonl").toString(),
                input.resolve("y/a.jsonl").toString());

        // Those of the folder again, which count once.
        assertThat(result.code()).as(result.err()).isZero();
        assertThat(rows()).hasSize(6);
        assertThat(all(rows(), "id")).containsExactlyInAnyOrder("0", "1", "2", "3", "4", "5");
    }

    @Test
    void routesChooseTheStackOfTheTime() throws IOException {
        Files.write(
                input.resolve("a.jsonl"),
                List.of(
                        "{\"k\": \"x\", \"t\": 5, \"text\": %s}".formatted(quoted(Notes.text(1))),
                        "{\"k\": \"x\", \"t\": 15, \"text\": %s}".formatted(quoted(Notes.text(1))),
                        "{\"k\": \"x\", \"t\": 25, \"text\": %s}".formatted(quoted(Notes.text(1))),
                        "{\"k\": \"y\", \"t\": 15, \"text\": %s}".formatted(quoted(Notes.text(1)))));
        Path routes = Files.write(
                folder.resolve("routes.jsonl"),
                List.of(
                        "{\"key\": \"x\", \"validFrom\": 20, \"stack\": \"legal\"}",
                        "{\"k\": \"x\", \"t\": 10, \"stack\": \"medical\"}"));

        label("--routes=" + routes, "--key-field=k", "--time-field=t", "--stack=finance");

        assertThat(all(rows(), "stack")).containsExactly("finance", "medical", "legal", "finance");
    }

    @Test
    void labelsAreReviewedAndJudged() throws IOException {
        write("a.jsonl", 0, 60);
        List<String> labels =
                List.of("expense: travel", "expense: software", "expense: insurance", "refund: travel", "other");

        Result result = label("--labels=" + String.join(";", labels), "--stack=finance", "--review=10");

        result.assertRows(60, 0, 60);
        assertThat(all(rows(), "answer")).isSubsetOf(labels);
        JsonNode tasks = TicketFiles.JSON.readTree(Files.readString(output.resolve("_report/review.json")));
        assertThat(tasks).hasSize(10);
        Map<String, Integer> byLabel = new TreeMap<>();
        List<Object> export = new ArrayList<>();
        for (JsonNode task : tasks) {
            String answer = task.at("/data/answer").asText();
            byLabel.merge(answer, 1, Integer::sum);
            assertThat(task.at("/predictions/0/result/0/value/choices/0").asText())
                    .isEqualTo(answer);
            Map<String, Object> exported = new LinkedHashMap<>();
            exported.put("data", task.get("data"));
            String right = export.isEmpty() ? "other one" : answer;
            exported.put(
                    "annotations",
                    List.of(Map.of("result", List.of(Map.of("value", Map.of("choices", List.of(right)))))));
            export.add(exported);
        }
        assertThat(byLabel).hasSizeGreaterThan(1);
        Path gold = Files.write(folder.resolve("gold.json"), TicketFiles.json(export));

        JsonNode judgement = run("--output=" + output, "--gold=" + gold).summary();

        assertThat(judgement.at("/sample/judged").asInt()).isEqualTo(10);
        assertThat(judgement.at("/sample/correct").asInt()).isEqualTo(9);
        assertThat(judgement.get("estimate").asDouble()).isBetween(0.1, 0.99);
        assertThat(Files.readString(output.resolve("_report/report.html")))
                .contains("Accuracy against reviewed rows", "9 of 10 rows are right")
                .doesNotContain("http", "src=", "<script");
    }

    @Test
    void explanationSaysWhatIsLeft() throws IOException {
        write("a.jsonl", 0, 20);
        assertThat(label("--stack=legal", "--explain").out())
                .contains("20 rows of 1 files", "to ask: 20 rows", "unknown until a run");
        assertThat(output).doesNotExist();
        label("--stack=legal");
        write("b.jsonl", 20, 25);

        assertThat(label("--stack=legal", "--explain").out())
                .contains("25 rows of 2 files", "to write: 1 output files", "to ask: 5 rows", "time: about");
    }

    @Test
    void reportHasAccuracyAndDrift() throws IOException {
        Files.write(
                input.resolve("a.jsonl"),
                IntStream.range(0, 20)
                        .mapToObj(i -> "{\"gold\": %s, \"text\": %s}"
                                .formatted(quoted(Notes.answer(Notes.text(i), "legal")), quoted(Notes.text(i))))
                        .toList());
        List<String> labels = IntStream.range(0, 40)
                .mapToObj(i -> Notes.answer(Notes.text(i), "legal"))
                .distinct()
                .toList();
        String[] options = {
            "--stack=legal", "--gold-field=gold", "--labels=" + new String(TicketFiles.json(labels), UTF_8)
        };
        label(options);
        write("b.jsonl", 20, 40);
        label(options).assertRows(40, 0, 20);

        JsonNode report = TicketFiles.JSON.readTree(Files.readString(output.resolve("_report/report.json")));

        assertThat(report.at("/accuracy/judged").asInt()).isEqualTo(20);
        assertThat(report.at("/accuracy/share").asDouble()).isGreaterThan(0.9);
        assertThat(report.at("/drift/distance").asDouble()).isBetween(0.0, 1.0);
        assertThat(report.at("/total/stacks/legal/rows").asInt()).isEqualTo(40);
    }

    @Test
    void calibrationIsFittedToTheGoldField() throws IOException {
        List<String> answers = IntStream.range(0, 12)
                .mapToObj(i -> Notes.answer(Notes.text(i), "legal"))
                .toList();
        List<String> labels =
                Stream.concat(answers.stream(), Stream.of("other")).distinct().toList();
        Files.write(
                input.resolve("a.jsonl"),
                IntStream.range(0, 12)
                        // The model is sure of every answer, and a third of them count as wrong.
                        .mapToObj(i -> "{\"gold\": %s, \"text\": %s}"
                                .formatted(quoted(i % 3 == 0 ? "other" : answers.get(i)), quoted(Notes.text(i))))
                        .toList());
        String[] options = {
            "--stack=legal",
            "--gold-field=gold",
            "--scoring=exact",
            "--labels=" + new String(TicketFiles.json(labels), UTF_8)
        };
        assertThat(label(options).code()).isZero();

        JsonNode fit = TicketFiles.JSON
                .readTree(Files.readString(output.resolve("_report/report.json")))
                .get("calibration");
        double fitted = fit.at("/stacks/legal/fitted").asDouble();

        assertThat(fit.at("/stacks/legal/rows").asInt()).isEqualTo(12);
        assertThat(fit.at("/stacks/legal/now").asDouble()).isEqualTo(1);
        assertThat(fitted).isGreaterThan(1.2);
        assertThat(fit.get("option").asText()).isEqualTo("legal=" + fitted);
        assertThat(Files.readString(output.resolve("_report/report.html"))).contains("calibration = legal=" + fitted);
        label(Stream.concat(
                        Stream.of(options),
                        Stream.of("--calibration=" + fit.get("option").asText()))
                .toArray(String[]::new));
        fit = TicketFiles.JSON
                .readTree(Files.readString(output.resolve("_report/report.json")))
                .get("calibration");
        assertThat(fit.at("/stacks/legal/now").asDouble()).isEqualTo(fitted);
        assertThat(rows())
                .allSatisfy(row -> assertThat(row.get("confidence").asDouble()).isBetween(0.3, 0.99));
    }

    /** The file before it is made longer until the machine labels it for longer than the writer needs. */
    @Test
    void fileThatChangesWhileItIsReadIsLeftForTheNextRun() throws Exception {
        int rows = 100;
        Result result;
        do {
            rows *= 2;
            assertThat(rows).isLessThan(20_000);
            FileUtils.deleteDirectory(output.toFile());
            result = labelWhileTheLastFileChanges(rows);
        } while (result.code() == 0);

        assertThat(result.code()).as(result.err()).isEqualTo(1);
        assertThat(result.err()).contains("z.jsonl' changed while it was read; run again when it is complete.");
        assertThat(rows()).hasSize(rows);
        Result next = label("--stack=legal");
        assertThat(next.code()).as(next.err()).isZero();
        assertThat(rows()).hasSize(rows + 3);
        assertThat(next.summary().get("asked").asInt()).isLessThanOrEqualTo(3);
    }

    private Result labelWhileTheLastFileChanges(int rows) throws Exception {
        write("a.jsonl", 0, rows);
        write("z.jsonl", rows, rows + 3);
        Thread writer = new Thread(
                () -> {
                    try {
                        while (!Files.exists(output.resolve("a-00000.jsonl"))) {
                            Thread.sleep(1);
                        }
                        write("z.jsonl", rows + 100, rows + 103);
                    } catch (IOException | InterruptedException e) {
                        throw new IllegalStateException(e);
                    }
                },
                "writer");
        writer.start();
        Result result = label("--stack=legal", "--part-rows=5");
        writer.join();
        return result;
    }

    @Test
    void scheduleRunsOneAfterTheOther() throws IOException {
        write("a.jsonl", 0, 5);

        Result result = label("--stack=legal", "--schedule=* * * * * *", "--runs=3");

        assertThat(result.code()).isZero();
        List<JsonNode> summaries = new ArrayList<>();
        for (String line : result.out().lines().toList()) {
            summaries.add(TicketFiles.JSON.readTree(line));
        }
        assertThat(summaries)
                .extracting(summary -> summary.get("asked").asInt())
                .containsExactly(5, 0, 0);
        assertThat(label("--schedule=never").err()).contains("five fields");
    }

    @Test
    void secondRunOnAnOutputIsTurnedAway() throws Exception {
        write("a.jsonl", 0, 5);
        RunLock held =
                RunLock.acquire(new LabelStore(output.toUri().toString())).orElseThrow();
        assertThat(label("--stack=legal").code()).isEqualTo(LabelJob.BUSY);
        held.close();
        assertThat(label("--stack=legal").code()).isZero();
    }
}
