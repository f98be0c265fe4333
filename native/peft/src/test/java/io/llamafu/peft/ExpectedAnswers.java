package io.llamafu.peft;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.llamafu.adapter.AdapterStack;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.StreamSupport;
import java.util.zip.GZIPInputStream;

/**
 * What transformers and peft answer with a model: greedy steps for ten prompts, without an adapter, with each of
 * four and with a stack of two.
 * {@code examples/parity} writes it.
 *
 * @param sha256 of the GGUF file that the weights came from
 * @param answers ordered by stack, then by prompt
 */
record ExpectedAnswers(String sha256, List<Answer> answers) {
    static final Path FOLDER = Path.of("../../examples/parity");

    /**
     * An answer.
     *
     * @param stack as it is written; empty for the base model
     * @param number of the prompt
     * @param text up to the end of the answer; the steps go on after it
     */
    record Answer(String stack, int number, String prompt, List<Integer> promptTokens, String text, List<Step> steps) {
        /** The greedy path. */
        List<Integer> tokens() {
            return steps.stream().map(step -> step.tokens.get(0)).toList();
        }
    }

    /** The tokens with the greatest logits, in descending order. */
    record Step(List<Integer> tokens, List<Double> logits) {}

    /** A text and its tokens. */
    record Tokenized(String text, List<Integer> tokens) {}

    static ExpectedAnswers read(String model) {
        JsonNode root = readJson(model + ".json.gz");
        List<Tokenized> prompts = tokenized(root.get("prompts"));
        List<Answer> answers = new ArrayList<>();
        for (JsonNode answer : root.get("answers")) {
            int number = answer.get("prompt").asInt();
            answers.add(new Answer(
                    answer.get("stack").asText(),
                    number,
                    prompts.get(number).text(),
                    prompts.get(number).tokens(),
                    answer.get("text").asText(),
                    elements(answer.get("steps")).stream()
                            .map(step -> new Step(integers(step.get("tokens")), numbers(step.get("logits"))))
                            .toList()));
        }
        return new ExpectedAnswers(root.get("sha256").asText(), List.copyOf(answers));
    }

    /** The tokens of various texts. */
    static List<Tokenized> readTokens(String model) {
        return tokenized(readJson(model + ".tokens.json.gz"));
    }

    /** The stacks, with the empty one. */
    List<String> stacks() {
        return answers.stream().map(Answer::stack).distinct().toList();
    }

    /** The adapters of all stacks. */
    List<String> adapters() {
        return stacks().stream()
                .flatMap(stack -> AdapterStack.parse(stack).entries().stream())
                .map(AdapterStack.Entry::name)
                .distinct()
                .toList();
    }

    /** The answers of every prompt, each with another stack than the one before. */
    List<Answer> oneOfEachPrompt() {
        int stacks = stacks().size();
        int prompts = answers.size() / stacks;
        return IntStream.range(0, prompts)
                .mapToObj(number -> answers.get(number % stacks * prompts + number))
                .toList();
    }

    private static JsonNode readJson(String file) {
        try (InputStream in = new GZIPInputStream(
                Files.newInputStream(FOLDER.resolve("expected").resolve(file)))) {
            return new ObjectMapper().readTree(in);
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    private static List<Tokenized> tokenized(JsonNode rows) {
        return elements(rows).stream()
                .map(row -> new Tokenized(row.get("text").asText(), integers(row.get("tokens"))))
                .toList();
    }

    private static List<JsonNode> elements(JsonNode array) {
        return StreamSupport.stream(array.spliterator(), false).toList();
    }

    private static List<Integer> integers(JsonNode array) {
        return elements(array).stream().map(JsonNode::asInt).toList();
    }

    private static List<Double> numbers(JsonNode array) {
        return elements(array).stream().map(JsonNode::asDouble).toList();
    }
}
