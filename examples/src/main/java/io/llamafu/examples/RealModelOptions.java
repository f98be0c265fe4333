package io.llamafu.examples;

import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.OnError;
import org.apache.flink.configuration.MemorySize;
import picocli.CommandLine.Option;

import javax.annotation.Nullable;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;

/** The options of a command line for SmolLM2-135M-Instruct and its adapters. */
final class RealModelOptions {
    private static final String NAME = "smollm2-135m-instruct";

    @Option(
            names = "--model",
            paramLabel = "FILE",
            description = "SmolLM2-135M-Instruct as GGUF. Default: the one that examples/models/fetch gets.")
    @Nullable
    private Path model;

    @Option(
            names = "--adapters",
            paramLabel = "FOLDER",
            defaultValue = "${sys:llamafu.examples:-examples}/models/real",
            description = "Every NAME.gguf in it is the adapter NAME.")
    private Path adapters;

    @Option(names = "--threads", paramLabel = "N", defaultValue = "2", description = "CPU threads of the model.")
    private int threads;

    /** Options under which each text is the user's turn, fetching the model first if it is needed. */
    LlamafuOptions.Builder toLlamafuOptions(String system) throws IOException, InterruptedException {
        if (model == null) {
            model = fetch(Path.of(System.getProperty("llamafu.examples", "examples")));
        }
        ModelOptions.requireReadable(List.of(model, adapters));
        return LlamafuOptions.builder()
                .model(model.toUri().toString())
                .adapters(adapters.toUri().toString())
                .chatTemplate("model")
                .systemPrompt(system)
                .threads(threads)
                .answerMemo(MemorySize.ZERO)
                .onError(OnError.EMIT);
    }

    /** The script bounds its own downloads. */
    private static Path fetch(Path examples) throws IOException, InterruptedException {
        Process fetch = new ProcessBuilder(examples.resolve("models/fetch").toString(), NAME)
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        String path;
        try (InputStream out = fetch.getInputStream()) {
            path = new String(out.readAllBytes(), StandardCharsets.UTF_8).strip();
        }
        if (fetch.waitFor() != 0) {
            throw new IOException(
                    "The model was not fetched; the reason is above. Or name your own copy with --model.");
        }
        return Path.of(path);
    }
}
