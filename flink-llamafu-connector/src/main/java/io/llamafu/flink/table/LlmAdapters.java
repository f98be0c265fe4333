package io.llamafu.flink.table;

import io.llamafu.flink.LlamafuOptions;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.SpecializedFunction;
import org.apache.flink.table.functions.TableFunction;
import org.apache.flink.table.functions.UserDefinedFunction;
import org.apache.flink.types.Row;

/**
 * {@code LLM_ADAPTERS()}: the adapters of the TaskManager's engine, one row for each.
 *
 * <pre>{@code
 * SELECT name, `rank`, resident FROM LATERAL TABLE(LLM_ADAPTERS())
 * }</pre>
 */
@PublicEvolving
@FunctionHint(
        output =
                @DataTypeHint(
                        "ROW<name STRING, digest STRING, scale FLOAT, `rank` BIGINT, alpha DOUBLE, target_modules ARRAY<STRING>,"
                                + " parameters BIGINT, `bytes` BIGINT, resident BOOLEAN, problem STRING>"))
public final class LlmAdapters extends TableFunction<Row> implements SpecializedFunction {
    private static final long serialVersionUID = 1L;

    private final FunctionEngines engines;

    /** For {@code CREATE FUNCTION}: the options are the job parameters {@code llamafu.*}. */
    public LlmAdapters() {
        this(FunctionEngines.of(LlmFunctionName.LLM_ADAPTERS));
    }

    public LlmAdapters(LlamafuOptions options) {
        this(FunctionEngines.of(LlmFunctionName.LLM_ADAPTERS, options));
    }

    private LlmAdapters(FunctionEngines engines) {
        this.engines = engines;
    }

    @Override
    public UserDefinedFunction specialize(SpecializedContext context) {
        return new LlmAdapters(engines.planned(context));
    }

    @Override
    public void open(FunctionContext context) {
        engines.open(context);
    }

    public void eval() {
        engines.engine()
                .adapters()
                .forEach(adapter -> collect(Row.of(
                        adapter.name(),
                        adapter.digest().orElse(null),
                        adapter.card().defaultScale(),
                        adapter.info().rank(),
                        adapter.info().alpha(),
                        adapter.info().targetModules().toArray(new String[0]),
                        adapter.info().parameters(),
                        adapter.bytes(),
                        adapter.resident(),
                        adapter.problem().orElse(null))));
    }

    @Override
    public void close() {
        engines.close();
    }

    /** Adapters are published and removed. */
    @Override
    public boolean isDeterministic() {
        return false;
    }

    @Override
    public boolean supportsConstantFolding() {
        return false;
    }
}
