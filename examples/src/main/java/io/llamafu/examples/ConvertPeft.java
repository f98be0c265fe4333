package io.llamafu.examples;

import io.llamafu.peft.ConvertedAdapter;
import io.llamafu.peft.PeftBase;
import io.llamafu.peft.PeftConverter;
import io.llamafu.peft.UpstreamConverter;
import io.llamafu.peft.WeightType;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.Callable;

/** Converts a folder saved by Hugging Face PEFT to a GGUF adapter; see {@code docs/peft.md}. */
@Command(
        name = "examples/run convert-peft",
        description = "Converts a LoRA adapter saved by PEFT, Unsloth, Axolotl or LLaMA-Factory to GGUF.",
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

    @Option(
            names = "--upstream",
            paramLabel = "CONFIG_DIR",
            description =
                    "Converts with llama.cpp's convert_lora_to_gguf.py, which knows more architectures. CONFIG_DIR has"
                            + " Hugging Face's config.json of the base, and --base must be its GGUF file. Needs Python 3 with numpy,"
                            + " pyyaml, safetensors, torch and transformers.")
    private Path upstream;

    @Option(
            names = "--python",
            paramLabel = "COMMAND",
            defaultValue = "python3",
            description = "The Python for --upstream. Default: python3.")
    private String python;

    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    public static void main(String[] arguments) {
        System.exit(commandLine().execute(arguments));
    }

    static CommandLine commandLine() {
        return Examples.tool("convert-peft", new ConvertPeft());
    }

    @Override
    public Integer call() throws IOException, InterruptedException {
        ConvertedAdapter converted = upstream == null
                ? PeftConverter.convert(folder, out, PeftBase.read(base), type)
                : new UpstreamConverter(LlamaCppSource.folder(), python).convert(folder, out, base, upstream, type);
        new AdapterSummary(spec.commandLine().getOut())
                .print(
                        out,
                        converted.info(),
                        converted.tensors(),
                        type,
                        converted.fileBytes(),
                        converted.digest(),
                        converted.notes());
        return 0;
    }
}
