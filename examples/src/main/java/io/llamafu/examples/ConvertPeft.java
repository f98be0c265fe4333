package io.llamafu.examples;

import io.llamafu.adapter.AdapterInfo;
import io.llamafu.peft.ConvertedAdapter;
import io.llamafu.peft.PeftBase;
import io.llamafu.peft.PeftConverter;
import io.llamafu.peft.WeightType;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;

/** Converts a folder saved by Hugging Face PEFT to a GGUF adapter; see {@code docs/peft.md}. */
@Command(
        name = "examples/run convert-peft",
        description = "Converts a LoRA adapter saved by PEFT, Axolotl or LLaMA-Factory to GGUF.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
public final class ConvertPeft implements Callable<Integer> {
    @Parameters(
            index = "0",
            paramLabel = "ADAPTER_DIR",
            description = "The folder with adapter_config.json and adapter_model.safetensors.")
    private Path folder;

    @Parameters(
            index = "1",
            paramLabel = "OUT.gguf",
            description = "The file to write. As NAME.gguf in an adapter folder, it is the adapter NAME.")
    private Path out;

    @Option(
            names = "--base",
            required = true,
            paramLabel = "FILE",
            description = "The model that the adapter was trained on: its GGUF file, or Hugging Face's config.json."
                    + " With a GGUF file, the result is checked against every tensor.")
    private Path base;

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
        return new CommandLine(new ConvertPeft())
                .setCaseInsensitiveEnumValuesAllowed(true)
                .setExecutionExceptionHandler((failure, command, parsed) -> {
                    command.getErr().println("convert-peft failed: " + failure);
                    return 1;
                });
    }

    @Override
    public Integer call() {
        ConvertedAdapter converted = PeftConverter.convert(folder, out, PeftBase.read(base), type);
        print(converted);
        return 0;
    }

    private void print(ConvertedAdapter converted) {
        AdapterInfo info = converted.info();
        PrintWriter writer = spec.commandLine().getOut();
        writer.println(out);
        printLine(writer, "architecture", info.architecture());
        printLine(writer, "rank", info.ranks().stream().map(String::valueOf).collect(Collectors.joining(", ")));
        printLine(writer, "alpha", String.valueOf(info.alpha()));
        printLine(writer, "modules", String.join(", ", info.targetModules()));
        printLine(writer, "tensors", "%d %s".formatted(converted.tensors(), type));
        printLine(writer, "bytes", String.valueOf(converted.fileBytes()));
        printLine(writer, "sha256", converted.digest());
        converted.notes().forEach(note -> printLine(writer, "note", note));
        writer.flush();
    }

    private static void printLine(PrintWriter writer, String key, String value) {
        writer.println("  %-13s %s".formatted(key, value));
    }
}
