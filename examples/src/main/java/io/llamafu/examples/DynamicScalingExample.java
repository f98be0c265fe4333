package io.llamafu.examples;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.flink.CompletionBuilder;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

import java.util.List;
import java.util.Map;

/** The effect of an adapter as a field of each record says: none, half, or as trained, all in one batch. */
@Command(
        name = "examples/run dynamic-scaling",
        description = "Answers the same notes with an adapter whose scale is a field of the record.",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false)
public final class DynamicScalingExample extends NotesExample {
    private static final String ADAPTER = "medical";

    @Option(
            names = "--scale",
            paramLabel = "SCALE",
            split = ",",
            defaultValue = "0,0.5,1",
            description = "The scales. Of others than 0, 0.5 and 1 the right answers are not known.")
    private List<Float> scales;

    public static void main(String[] arguments) {
        Examples.runAndExit("dynamic-scaling", new DynamicScalingExample(), arguments);
    }

    @Override
    List<Way> waysToAsk(String text) {
        return scales.stream()
                .map(scale ->
                        new Way(new NoteQuestion(text, ADAPTER, scale), AdapterStack.parse(ADAPTER + ":" + scale)))
                .toList();
    }

    /** The scales of a record replace those in its stack, wherever the stack comes from: here the default route. */
    @Override
    CompletionBuilder<NoteQuestion> choose(CompletionBuilder<NoteQuestion> completions) {
        return completions
                .defaultRoute(AdapterStack.parse(ADAPTER))
                .scales(question -> Map.of(ADAPTER, question.scale()));
    }
}
