package io.llamafu.flink.table;

import io.llamafu.flink.LlamafuOptions;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.table.functions.FunctionDefinition;
import org.apache.flink.table.module.Module;

import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * The functions {@code LLM_*}, answered by one model.
 *
 * <pre>{@code
 * LOAD MODULE llamafu WITH ('model' = '/models/base.gguf', 'adapters' = '/models/adapters')
 * }</pre>
 *
 * <p>or, with the Table API, {@code env.loadModule("llamafu", new LlamafuModule(options))}.
 */
@PublicEvolving
public final class LlamafuModule implements Module {
    /** In lower case. */
    private final Map<String, FunctionDefinition> functions = new HashMap<>();

    /**
     * The functions of one model.
     *
     * @throws io.llamafu.LlamafuException with INVALID_OPTION if {@code on-error} is {@code emit}: functions have no column
     *     for an error
     */
    public LlamafuModule(LlamafuOptions options) {
        add(LlmFunctionName.LLM_COMPLETE, new LlmComplete(options));
        add(LlmFunctionName.LLM_TRY_COMPLETE, new LlmTryComplete(options));
        add(LlmFunctionName.LLM_CLASSIFY, new LlmClassify(options));
        add(LlmFunctionName.LLM_CLASSIFY_SCORES, new LlmClassifyScores(options));
        add(LlmFunctionName.LLM_EXTRACT, new LlmExtract(options));
        add(LlmFunctionName.LLM_TOKENS, new LlmTokens(options));
        add(LlmFunctionName.LLM_ADAPTERS, new LlmAdapters(options));
    }

    private void add(LlmFunctionName name, FunctionDefinition function) {
        functions.put(name.name().toLowerCase(Locale.ROOT), function);
    }

    @Override
    public Set<String> listFunctions() {
        return Set.copyOf(functions.keySet());
    }

    @Override
    public Optional<FunctionDefinition> getFunctionDefinition(String name) {
        return Optional.ofNullable(functions.get(name.toLowerCase(Locale.ROOT)));
    }
}
