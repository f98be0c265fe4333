package io.llamafu.flink;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

import static java.util.Objects.requireNonNull;

/** The trained test model of llamafu-native, laid out as a user would: a model and a folder of adapters. */
final class TinyModel {
    private static final List<String> ADAPTERS = List.of("medical", "legal", "finance", "formal");

    /**
     * One note and its expected answers.
     *
     * @param answers by stack, as written in the file: {@code medical+formal}, {@code medical@0.5}, {@code base}
     */
    record Golden(String text, Map<String, String> answers) {
        String answer(String stack) {
            return requireNonNull(
                    answers.get(stack.isEmpty() ? "base" : stack.replace(':', '@')), () -> "no answer for " + stack);
        }
    }

    private final Path model;
    private final Path adapters;
    private final List<Golden> golden;

    private TinyModel(Path model, Path adapters, List<Golden> golden) {
        this.model = model;
        this.adapters = adapters;
        this.golden = golden;
    }

    static TinyModel extractTo(Path folder) throws IOException {
        Path model = folder.resolve("base.gguf");
        Path adapters = Files.createDirectory(folder.resolve("adapters"));
        copy("base-q8_0.gguf", model);
        for (String adapter : ADAPTERS) {
            copy(adapter + ".gguf", adapters.resolve(adapter + ".gguf"));
        }
        return new TinyModel(model, adapters, readGolden());
    }

    private static void copy(String resource, Path target) throws IOException {
        try (InputStream in = open(resource)) {
            Files.copy(in, target);
        }
    }

    private static InputStream open(String resource) {
        return requireNonNull(TinyModel.class.getResourceAsStream("/tiny/" + resource), resource);
    }

    private static List<Golden> readGolden() throws IOException {
        ObjectMapper json = new ObjectMapper();
        List<Golden> golden = new ArrayList<>();
        try (BufferedReader lines =
                new BufferedReader(new InputStreamReader(open("golden.jsonl"), StandardCharsets.UTF_8))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                JsonNode note = json.readTree(line);
                Map<String, String> answers = new HashMap<>();
                note.get("expected")
                        .fields()
                        .forEachRemaining(answer ->
                                answers.put(answer.getKey(), answer.getValue().asText()));
                golden.add(new Golden(note.get("text").asText(), answers));
            }
        }
        return golden;
    }

    List<Golden> golden() {
        return golden;
    }

    /** Equal engine options everywhere, so that all tests share one engine. */
    LlamafuOptions.Builder options() {
        return LlamafuOptions.builder()
                .model(model.toUri().toString())
                .adapters(adapters.toString())
                .promptTemplate("### Text:\n{text}\n### Answer:\n")
                .threads(2)
                .maxTokens(48);
    }
}
