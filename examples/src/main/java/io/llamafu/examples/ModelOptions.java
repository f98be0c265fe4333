package io.llamafu.examples;

import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.OnError;
import org.apache.flink.configuration.MemorySize;
import picocli.CommandLine.Option;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** The options of an example's command line for the model. */
public final class ModelOptions {
    private static final String PROMPT_TEMPLATE = "### Text:\n{text}\n### Answer:\n";

    /** About twice the longest answer that the model was trained to give. */
    private static final int MAX_TOKENS = 48;

    @Option(
            names = "--model",
            paramLabel = "FILE",
            defaultValue = "${sys:llamafu.examples:-examples}/models/tiny-notes-q8_0.gguf",
            description = "The GGUF model.")
    private Path model;

    @Option(
            names = "--adapters",
            paramLabel = "FOLDER",
            defaultValue = "${sys:llamafu.examples:-examples}/models/adapters",
            description = "Every NAME.gguf in it is the adapter NAME.")
    private Path adapters;

    @Option(
            names = "--threads",
            paramLabel = "N",
            defaultValue = "1",
            description = "CPU threads of the model. For a model this small, more threads cost more than they gain.")
    private int threads;

    public LlamafuOptions toLlamafuOptions(OnError onError) {
        return toBuilder(onError).build();
    }

    /** For a job that measures the model even if the same prompt is asked repeatedly. */
    public LlamafuOptions withoutMemo(OnError onError) {
        return toBuilder(onError).answerMemo(MemorySize.ZERO).build();
    }

    private LlamafuOptions.Builder toBuilder(OnError onError) {
        return LlamafuOptions.builder()
                .model(model.toUri().toString())
                .adapters(adapters.toUri().toString())
                .promptTemplate(PROMPT_TEMPLATE)
                .threads(threads)
                .maxTokens(MAX_TOKENS)
                .onError(onError);
    }

    public void requireReadable() throws IOException {
        requireReadable(List.of(model, adapters));
    }

    static void requireReadable(List<Path> inputs) throws IOException {
        for (Path input : inputs) {
            if (!Files.isReadable(input)) {
                throw new IOException("There is no readable file or folder " + input + ".");
            }
        }
    }

    /** The same options for a main method that runs in another process on this machine. */
    List<String> toArguments() {
        return toArguments(adapters);
    }

    /** The same options with other adapters. */
    public List<String> toArguments(Path otherAdapters) {
        return List.of(
                "--model=" + model.toAbsolutePath(),
                "--adapters=" + otherAdapters.toAbsolutePath(),
                "--threads=" + threads);
    }

    public Path adapters() {
        return adapters;
    }
}
