package io.llamafu.flink.table;

import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.flink.completion.Outcome;
import org.apache.flink.annotation.Internal;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.ScalarFunction;
import org.apache.flink.table.functions.SpecializedFunction;
import org.apache.flink.table.functions.UserDefinedFunction;

import javax.annotation.Nullable;
import java.util.Map;
import java.util.function.Supplier;

/**
 * A scalar function that asks the model. The task waits for each answer, so the subtasks of a TaskManager fill the
 * batch together.
 *
 * <p>Deterministic if its options are: otherwise rounding depends on the other rows of a batch, so even at temperature 0 a text
 * can get another answer the next time. A function that is not keeps the planner from computing a column twice. Wherever it
 * calls the function twice for a record, the engine's memo has the answer.
 */
@Internal
public abstract class LlmFunction extends ScalarFunction implements SpecializedFunction {
    private static final long serialVersionUID = 1L;

    private final FunctionEngines engines;

    LlmFunction(FunctionEngines engines) {
        this.engines = engines;
    }

    /** While the query is planned: validates everything known, and opens no model. */
    @Override
    public final UserDefinedFunction specialize(SpecializedContext context) {
        return with(engines.planned(context));
    }

    abstract UserDefinedFunction with(FunctionEngines planned);

    /** NULL in, NULL out. */
    final Outcome ask(
            Supplier<OutputFormat> format,
            @Nullable String text,
            @Nullable String stack,
            @Nullable Map<String, String> options) {
        return text == null || stack == null || options == null
                ? Outcome.nothing()
                : engines.ask(format, text, stack, options);
    }

    /** The text of the answer; null if there is none. */
    @Nullable
    final String answer(
            Supplier<OutputFormat> format,
            @Nullable String text,
            @Nullable String stack,
            @Nullable Map<String, String> options) {
        CompletionResult completion = ask(format, text, stack, options).completion();
        return completion == null ? null : completion.text();
    }

    final InferenceEngine engine() {
        return engines.engine();
    }

    final int countTokens(String text) {
        return engines.countTokens(text);
    }

    @Override
    public void open(FunctionContext context) {
        engines.open(context);
    }

    @Override
    public void close() {
        engines.close();
    }

    @Override
    public boolean isDeterministic() {
        return engines.isDeterministic();
    }

    /** Planning must not open a model. */
    @Override
    public boolean supportsConstantFolding() {
        return false;
    }
}
