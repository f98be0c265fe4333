package io.llamafu.flink.label;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;

import javax.annotation.Nullable;
import java.math.BigDecimal;
import java.math.MathContext;
import java.util.List;
import java.util.function.Function;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * The outcome of a row, as the ledger keeps it.
 *
 * @param key of the question, see {@link QuestionKeys}; null if the row could not be asked
 * @param answer null if there was an error
 * @param confidence the probability of the label among the labels; null if it was not computed
 * @param stack that was asked for
 * @param adapters that answered, each as NAME:SCALE@DIGEST, separated by +
 * @param promptTokens tokens of the prompt
 * @param generatedTokens tokens of the answer
 * @param errorCode null if there was an answer
 * @param error a sentence; null if there was an answer
 * @param millis from the request to the answer
 * @param probabilities of all labels in the order of the options, to six significant digits; null unless {@code scoring} is {@code exact}
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
record Answer(
        @JsonProperty("k") @Nullable String key,
        @JsonProperty("a") @Nullable String answer,
        @JsonProperty("c") @Nullable Double confidence,
        @JsonProperty("s") @Nullable String stack,
        @JsonProperty("d") @Nullable String adapters,
        @JsonProperty("p") int promptTokens,
        @JsonProperty("g") int generatedTokens,
        @JsonProperty("ec") @Nullable String errorCode,
        @JsonProperty("e") @Nullable String error,
        @JsonProperty("ms") double millis,
        @JsonProperty("q") @Nullable List<Double> probabilities) {

    /** @param key null if the row could not be asked; then so are stack and adapters */
    static Answer failed(
            @Nullable String key, @Nullable AdapterStack stack, @Nullable String adapters, LlamafuException error) {
        return new Answer(
                key,
                null,
                null,
                stack == null ? null : stack.toString(),
                adapters,
                0,
                0,
                error.code().name(),
                wellFormed(error.sentence()),
                0,
                null);
    }

    /** The same answer to a row that wrote its stack in another way. */
    Answer withStack(String newStack) {
        return new Answer(
                key,
                answer,
                confidence,
                newStack,
                adapters,
                promptTokens,
                generatedTokens,
                errorCode,
                error,
                millis,
                probabilities);
    }

    /** A column of the output. */
    record Column(String name, Class<?> type, Function<Answer, Object> value) {}

    /** What a row gains, in order. */
    static final List<Column> COLUMNS = List.of(
            new Column("answer", String.class, Answer::answer),
            new Column("confidence", Double.class, Answer::confidence),
            new Column("stack", String.class, Answer::stack),
            new Column("adapters", String.class, Answer::adapters),
            new Column("prompt_tokens", Integer.class, Answer::promptTokens),
            new Column("generated_tokens", Integer.class, Answer::generatedTokens),
            new Column("error_code", String.class, Answer::errorCode),
            new Column("error", String.class, Answer::error));

    static List<String> columnNames(String prefix) {
        return COLUMNS.stream().map(column -> prefix + column.name()).toList();
    }

    /** The last digits of a probability depend on the other rows of its batch. */
    static double rounded(double probability) {
        return Math.round(probability * 1e4) / 1e4;
    }

    private static final MathContext SIX_DIGITS = new MathContext(6);

    /** For the ledger; null for none. */
    @Nullable
    static List<Double> rounded(List<Double> probabilities) {
        return probabilities.isEmpty()
                ? null
                : probabilities.stream()
                        .map(probability -> BigDecimal.valueOf(probability)
                                .round(SIX_DIGITS)
                                .doubleValue())
                        .toList();
    }

    /** A text that has a UTF-8 form: with a question mark for each unpaired surrogate. */
    @Nullable
    static String wellFormed(@Nullable String text) {
        return text == null ? null : new String(text.getBytes(UTF_8), UTF_8);
    }
}
