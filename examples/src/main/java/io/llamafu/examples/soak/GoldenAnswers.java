package io.llamafu.examples.soak;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.SharedEngines;
import io.llamafu.examples.GoldenNote;
import io.llamafu.examples.JsonLines;
import io.llamafu.flink.LlamafuOptions;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;

/**
 * The trained model's right answers by text and stack, from {@code golden.jsonl}, as far as they are certain. For some
 * texts two answers are so close that the rounding of a batch decides; those are left out.
 */
final class GoldenAnswers {
    private static final int SEED = 7;

    private final List<String> texts;
    private final Map<String, GoldenNote> lines;

    private GoldenAnswers(Map<String, GoldenNote> lines) {
        this.lines = lines;
        this.texts = List.copyOf(lines.keySet());
    }

    static GoldenAnswers read(Path file) throws IOException {
        Map<String, GoldenNote> lines = new TreeMap<>();
        for (GoldenNote line : JsonLines.of(GoldenNote.class).readAll(file)) {
            lines.put(line.text(), line);
        }
        return new GoldenAnswers(lines);
    }

    /** A fixed selection of the texts. */
    GoldenAnswers some(int count) {
        List<GoldenNote> shuffled = new ArrayList<>(lines.values());
        Collections.shuffle(shuffled, new Random(SEED));
        Map<String, GoldenNote> chosen = new TreeMap<>();
        shuffled.stream().limit(count).forEach(line -> chosen.put(line.text(), line));
        return new GoldenAnswers(chosen);
    }

    /**
     * The texts to which an engine in this JVM gives the right answer under every stack, in each round and beside all
     * other questions.
     */
    GoldenAnswers certain(LlamafuOptions options, int rounds) {
        Set<String> uncertain = new HashSet<>();
        try (SharedEngines.Lease lease = SharedEngines.acquire(options.toEngineOptions())) {
            Random random = new Random(SEED);
            for (int round = 0; round < rounds; round++) {
                ask(lease.engine(), options.maxTokens(), random, uncertain);
            }
        }
        Map<String, GoldenNote> left = new TreeMap<>(lines);
        left.keySet().removeAll(uncertain);
        return new GoldenAnswers(left);
    }

    private record Question(GoldenNote line, String stack) {
        CompletionRequest request(int maxTokens) {
            return CompletionRequest.of(line.prompt(), AdapterStack.parse(GoldenNote.stackOf(stack)))
                    .withMaxTokens(maxTokens);
        }
    }

    private void ask(InferenceEngine engine, int maxTokens, Random random, Set<String> uncertain) {
        List<Question> questions = new ArrayList<>();
        lines.values()
                .forEach(line -> line.expected().keySet().forEach(stack -> questions.add(new Question(line, stack))));
        Collections.shuffle(questions, random);
        List<CompletableFuture<CompletionResult>> answers = questions.stream()
                .map(question -> engine.submit(question.request(maxTokens)))
                .toList();
        for (int i = 0; i < questions.size(); i++) {
            Question question = questions.get(i);
            String right = question.line().expected().get(question.stack());
            if (!answers.get(i).join().text().equals(right)) {
                uncertain.add(question.line().text());
            }
        }
    }

    List<String> texts() {
        return texts;
    }

    /**
     * The right answer.
     *
     * @param stack trained adapters at scales of 0, 0.5 and 1
     */
    String answer(String text, AdapterStack stack) {
        return lines.get(text).answer(stack);
    }
}
