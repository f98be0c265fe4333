package io.llamafu.examples;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.flink.CompletionBuilder;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

import java.util.List;

/** Two adapters at once: {@code medical} finds the department, {@code formal} words the answer, together they do both. */
@Command(
        name = "examples/run stacking",
        description = "Answers the same notes with single adapters and with both at once, in one batch.",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false)
public final class StackingExample extends NotesExample {
    @Option(
            names = "--stack",
            paramLabel = "STACK",
            split = ",",
            defaultValue = "medical,formal,medical+formal",
            description = "The stacks; '' is the base model.")
    private List<String> stacks;

    public static void main(String[] arguments) {
        Examples.runAndExit("stacking", new StackingExample(), arguments);
    }

    @Override
    List<Way> waysToAsk(String text) {
        return stacks.stream()
                .map(stack -> new Way(new NoteQuestion(text, stack, 1f), AdapterStack.parse(stack)))
                .toList();
    }

    /** The stack is a field of the record. It could as well come from a route or a rule. */
    @Override
    CompletionBuilder<NoteQuestion> choose(CompletionBuilder<NoteQuestion> completions) {
        return completions.stack(NoteQuestion::stack);
    }
}
