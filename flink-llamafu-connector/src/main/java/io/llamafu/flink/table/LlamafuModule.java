package io.llamafu.flink.table;

import io.llamafu.flink.LlamafuOptions;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.table.functions.FunctionDefinition;
import org.apache.flink.table.module.Module;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

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
    private static final Logger LOG = LoggerFactory.getLogger(LlamafuModule.class);

    /** In lower case. */
    private final Map<String, FunctionDefinition> functions = new HashMap<>();

    public LlamafuModule(LlamafuOptions options) {
        this(options, false);
    }

    /**
     * The functions, asynchronous or not.
     *
     * @param async see {@link LlamafuTableOptions#ASYNC}
     * @throws io.llamafu.LlamafuException with INVALID_OPTION if {@code on-error} is {@code emit}: functions have no column
     *     for an error
     */
    public LlamafuModule(LlamafuOptions options, boolean async) {
        if (async) {
            LOG.warn("The functions are asynchronous. Flink 2.3 writes '' or -1 instead of NULL into columns that stand"
                    + " beside an asynchronous function, and does not run it in batch. ML_PREDICT has neither fault.");
            add(LlmFunctionName.LLM_COMPLETE, new AsyncLlmComplete(options));
            add(LlmFunctionName.LLM_TRY_COMPLETE, new AsyncLlmTryComplete(options));
            add(LlmFunctionName.LLM_CLASSIFY, new AsyncLlmClassify(options));
            add(LlmFunctionName.LLM_EXTRACT, new AsyncLlmExtract(options));
        } else {
            add(LlmFunctionName.LLM_COMPLETE, new LlmComplete(options));
            add(LlmFunctionName.LLM_TRY_COMPLETE, new LlmTryComplete(options));
            add(LlmFunctionName.LLM_CLASSIFY, new LlmClassify(options));
            add(LlmFunctionName.LLM_EXTRACT, new LlmExtract(options));
        }
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
