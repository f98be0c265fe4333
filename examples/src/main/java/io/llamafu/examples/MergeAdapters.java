package io.llamafu.examples;

import io.llamafu.adapter.AdapterMerge;
import io.llamafu.adapter.AdapterOutput;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.adapter.LocalAdapters;
import io.llamafu.gguf.GgufTensorType;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;

/** Merges the adapters of a stack into one file; see {@code docs/adapters.md}. */
@Command(
        name = "examples/run merge",
        description = "Merges the adapters of a stack into one adapter, which at scale 1 answers like the stack.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
public final class MergeAdapters implements Callable<Integer> {
    /** How weights are stored. */
    private enum WeightType {
        F16(GgufTensorType.F16),
        F32(GgufTensorType.F32);

        private final GgufTensorType tensorType;

        WeightType(GgufTensorType tensorType) {
            this.tensorType = tensorType;
        }
    }

    @Parameters(
            arity = "1..*",
            split = ",",
            paramLabel = "STACK",
            description =
                    "The stack, like medical:0.8+formal:0.5. Several are added: medical:0.8,formal:0.5 is the same.")
    private List<String> stacks;

    @Option(
            names = "--output",
            required = true,
            paramLabel = "FILE",
            description = "The file to write. As NAME.gguf in an adapter folder, it is the adapter NAME. Its card,"
                    + " NAME.json, says what was merged.")
    private Path output;

    @Option(
            names = "--model",
            paramLabel = "FILE",
            defaultValue = "${sys:llamafu.examples:-examples}/models/tiny-notes-q8_0.gguf",
            description = "The GGUF model that the adapters are for.")
    private Path model;

    @Option(
            names = "--adapters",
            paramLabel = "FOLDER",
            defaultValue = "${sys:llamafu.examples:-examples}/models/adapters",
            description = "Every NAME.gguf in it is the adapter NAME.")
    private Path adapters;

    @Option(
            names = "--type",
            paramLabel = "TYPE",
            defaultValue = "f16",
            description = "How weights are stored: ${COMPLETION-CANDIDATES}. Default: f16.")
    private WeightType type;

    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    public static void main(String[] arguments) {
        System.exit(commandLine().execute(arguments));
    }

    static CommandLine commandLine() {
        return Examples.tool("merge", new MergeAdapters());
    }

    @Override
    public Integer call() {
        AdapterStack stack = AdapterStack.parse(String.join("+", stacks));
        AdapterMerge.Merged merged =
                AdapterMerge.merge(stack, LocalAdapters.of(adapters), model, output, type.tensorType);
        AdapterOutput.Published published = merged.published();
        AdapterSummary summary = new AdapterSummary(spec.commandLine().getOut());
        summary.print(
                output,
                published.info(),
                published.tensors(),
                type,
                published.fileBytes(),
                published.digest(),
                merged.notes());
        summary.line("card", merged.card().description());
        spec.commandLine().getOut().flush();
        return 0;
    }
}
