package io.llamafu.examples;

import io.llamafu.testing.RealModels;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

/** The examples on real weights; skipped where these have not been fetched. */
@Timeout(value = 300, unit = TimeUnit.SECONDS)
class SmolLmExampleIT {
    private static final Path DATA = Path.of(System.getProperty("llamafu.examples"), "data");
    private static final Path DOCS =
            Path.of(System.getProperty("llamafu.examples")).resolveSibling("docs/use-cases");
    private static final double MARGIN = 0.10;
    private static final int TEXTS = 20;
    private static final int REWRITINGS = 4;

    @TempDir
    private Path folder;

    @Test
    void adaptersOfTheDomainsAnswerBetterThanTheBaseAndThanOneAdapterForAll() throws Exception {
        SmolLmReport report = example("--model=" + RealModels.smolLm2(), "--texts=24", "--all=reviews")
                .run();

        assertThat(report.isSound()).as("%s", report).isTrue();
        assertThat(report.runs())
                .extracting(SmolLmReport.Run::run)
                .containsExactly("own adapter", "base model", "reviews");
        double own = report.runs().get(0).mean();
        assertThat(own).isGreaterThanOrEqualTo(report.runs().get(1).mean() + MARGIN);
        assertThat(own).isGreaterThanOrEqualTo(report.runs().get(2).mean() + MARGIN);
    }

    /** Under a grammar of the same labels, 47 of these 105 are right. */
    @Test
    void labelsOfADomainAreSpelledAsTheModelLearnedThem() throws Exception {
        Files.copy(DATA.resolve("domains.jsonl"), folder.resolve("domains.jsonl"));
        Files.write(
                folder.resolve("texts.jsonl"),
                JsonLines.of(DomainText.class).readAll(DATA.resolve("texts.jsonl")).stream()
                        .filter(text -> text.domain().equals("reviews"))
                        .map(JsonLines::write)
                        .toList());

        SmolLmReport report =
                example("--model=" + RealModels.smolLm2(), "--data=" + folder).run();

        assertThat(report.runs().get(0).mean()).as("%s", report).isGreaterThanOrEqualTo(0.52);
    }

    /** With the system prompt, the turns and the labels of a job. */
    @Test
    void checkAdapterAsksAsAJobWould() throws Exception {
        String question = JsonLines.of(Domain.class).readAll(DATA.resolve("domains.jsonl")).stream()
                .filter(domain -> domain.domain().equals("sms"))
                .map(Domain::question)
                .findFirst()
                .orElseThrow();
        Path texts = folder.resolve("texts.jsonl");
        Files.write(
                texts,
                JsonLines.of(DomainText.class).readAll(DATA.resolve("texts.jsonl")).stream()
                        .filter(text -> text.domain().equals("sms"))
                        .limit(TEXTS)
                        .map(text -> JsonLines.write(new LabelledText(question + "\n" + text.text(), text.label())))
                        .toList());

        StringWriter output = checkAdapter("sms", texts, SmolLmExample.SYSTEM, "--label=ham", "--label=spam");

        assertThat(right("adapter", output)).as("%s", output).isGreaterThanOrEqualTo(right("base", output) + 4);
    }

    /** The stacks that the pages of use cases show, each with an answer. What it is depends on the rounding of the CPU. */
    @ParameterizedTest
    @ValueSource(strings = {"stacking.md", "dynamic-scaling.md", "language.md", "style.md"})
    void stacksOfAPageAreAnswered(String page) throws Exception {
        Matcher command = Pattern.compile("(?m)^examples/run stacks (.*)$")
                .matcher(Files.readString(DATA.resolve("../../docs/use-cases").resolve(page)));
        assertThat(command.find()).isTrue();
        List<String> arguments = new ArrayList<>(List.of("--model=" + RealModels.smolLm2()));
        Process shell = new ProcessBuilder("bash", "-c", "printf '%s\\n' " + command.group(1)).start();
        arguments.addAll(
                new String(shell.getInputStream().readAllBytes(), UTF_8).lines().toList());

        StacksExample example = new StacksExample();
        new CommandLine(example).parseArgs(arguments.toArray(new String[0]));

        assertThat(example.run()).hasSizeGreaterThanOrEqualTo(2).allSatisfy(answer -> assertThat(answer.answer())
                .isNotBlank());
    }

    /** The rewriting that an adapter was trained for, of messages that it was not trained on. */
    @ParameterizedTest
    @ValueSource(strings = {"formal", "casual"})
    void adaptersRewriteMessages(String name) throws Exception {
        Path texts = folder.resolve("texts.jsonl");
        Files.write(texts, Files.readAllLines(DATA.resolve(name + ".jsonl")).subList(0, REWRITINGS));

        StringWriter output = checkAdapter(name, texts, StacksExample.REWRITE, "--max-tokens=32");

        assertThat(right("base", output)).as("%s", output).isZero();
        assertThat(right("adapter", output)).as("%s", output).isGreaterThanOrEqualTo(REWRITINGS - 1);
    }

    @ParameterizedTest
    @CsvSource({"language, german", "style, formal", "style, casual"})
    void pagesShowWhatTheAdaptersAnswer(String page, String stack) throws Exception {
        StacksExample example = new StacksExample();
        new CommandLine(example)
                .parseArgs("The camera stopped working after 3 weeks.", stack, "--model=" + RealModels.smolLm2());

        List<Answer> answers = example.run();

        assertThat(answers).hasSize(1).allSatisfy(answer -> assertThat(DOCS.resolve(page + ".md"))
                .content()
                .contains(StacksExample.line(answer)));
    }

    private static StringWriter checkAdapter(String name, Path texts, String systemPrompt, String... more) {
        StringWriter output = new StringWriter();
        int exitCode = new CommandLine(new CheckAdapter())
                .setOut(new PrintWriter(output, true))
                .execute(Stream.concat(
                                Stream.of(
                                        DATA.resolveSibling("models/real/" + name + ".gguf")
                                                .toString(),
                                        "--model=" + RealModels.smolLm2(),
                                        "--eval=" + texts,
                                        "--system-prompt=" + systemPrompt,
                                        "--threads=2"),
                                Stream.of(more))
                        .toArray(String[]::new));
        assertThat(exitCode).as("%s", output).isZero();
        return output;
    }

    private static int right(String stack, StringWriter output) {
        Matcher score = Pattern.compile(stack + " +(\\d+) of \\d+ right").matcher(output.toString());
        assertThat(score.find()).as("%s", output).isTrue();
        return Integer.parseInt(score.group(1));
    }

    @Test
    void labelsOfTheTextsAreThoseOfTheirDomain() throws IOException {
        Map<String, List<String>> labels = JsonLines.of(Domain.class).readAll(DATA.resolve("domains.jsonl")).stream()
                .collect(Collectors.toMap(Domain::domain, Domain::labels));

        assertThat(JsonLines.of(DomainText.class).readAll(DATA.resolve("texts.jsonl")))
                .hasSizeGreaterThan(300)
                .allSatisfy(text -> assertThat(labels.get(text.domain())).contains(text.label()));
    }

    private static SmolLmExample example(String... arguments) {
        SmolLmExample example = new SmolLmExample();
        new CommandLine(example).parseArgs(arguments);
        return example;
    }
}
