package io.llamafu.examples;

import io.llamafu.flink.Llamafu;
import io.llamafu.flink.LlamafuOptions;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;

/** Answers one text with several stacks in one batch, to see what adapters, scales and stacks change. */
@Command(
        name = "examples/run stacks",
        description = {
            "Answers one text with several stacks of adapters in one batch, with SmolLM2-135M-Instruct.",
            "Without --domain the text is to be rewritten: 'formal', 'casual' and 'german' were trained for that.",
            "Exit code: 0 if every stack gave an answer."
        },
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false)
public final class StacksExample implements Callable<Integer> {
    /** The system prompt that the adapters that rewrite were trained with. */
    static final String REWRITE = "Rewrite the text.";

    private static final int MOST_TOKENS_OF_A_REWRITING = 60;

    @Parameters(index = "0", paramLabel = "TEXT", description = "The text.")
    private String text;

    @Parameters(
            index = "1..*",
            arity = "1..*",
            paramLabel = "STACK",
            description = "Stacks such as 'sms', 'sms:0.5' or 'sms+reviews'; '' is the base model.")
    private List<String> stacks;

    @Option(
            names = "--domain",
            paramLabel = "NAME",
            description = "Ask the question of this domain of data/domains.jsonl; its labels are the possible answers.")
    private Optional<String> domainName = Optional.empty();

    @Option(
            names = "--data",
            paramLabel = "FOLDER",
            defaultValue = "${sys:llamafu.examples:-examples}/data",
            description = "The folder with domains.jsonl.")
    private Path data;

    @Mixin
    private final RealModelOptions model = new RealModelOptions();

    public static void main(String[] arguments) {
        Examples.runAndExit("stacks", new StacksExample(), arguments);
    }

    @Override
    public Integer call() throws Exception {
        List<Answer> answers = run();
        answers.forEach(answer -> System.out.println(line(answer)));
        return answers.stream().anyMatch(Answer::isError) ? 1 : 0;
    }

    static String line(Answer answer) {
        String stack = answer.stack().isEmpty() ? "(base model)" : answer.stack();
        return "%-24s %s".formatted(stack, answer.isError() ? answer.error() : answer.answer());
    }

    /** In the order of the stacks. */
    List<Answer> run() throws Exception {
        Question question =
                domainName.isPresent() ? Question.of(domain(domainName.get()), text) : Question.rewrite(text);
        String prompt = question.prompt();
        return LocalJob.answersOf(
                Llamafu.complete(LocalJob.environment().fromData(stacks))
                        .prompt(stack -> prompt)
                        .stack(stack -> stack)
                        .with(question.apply(model.toLlamafuOptions(question.system()))
                                .build())
                        .ordered()
                        .build(),
                "stacks",
                stacks.size());
    }

    private Domain domain(String name) throws IOException {
        List<Domain> domains = JsonLines.of(Domain.class).readAll(data.resolve("domains.jsonl"));
        return domains.stream()
                .filter(domain -> domain.domain().equals(name))
                .findFirst()
                .orElseThrow(() -> new IOException("There is no domain '%s', only %s."
                        .formatted(name, domains.stream().map(Domain::domain).toList())));
    }

    /** What is asked of the text. */
    private record Question(String system, String prompt, List<String> labels) {
        static Question rewrite(String text) {
            return new Question(REWRITE, text, List.of());
        }

        static Question of(Domain domain, String text) {
            return new Question(SmolLmExample.SYSTEM, domain.question() + "\n" + text, domain.labels());
        }

        LlamafuOptions.Builder apply(LlamafuOptions.Builder options) {
            return labels.isEmpty() ? options.maxTokens(MOST_TOKENS_OF_A_REWRITING) : options.labels(labels);
        }
    }
}
