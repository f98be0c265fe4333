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
            add(LlmComplete.NAME, new AsyncLlmComplete(options));
            add(LlmTryComplete.NAME, new AsyncLlmTryComplete(options));
            add(LlmClassify.NAME, new AsyncLlmClassify(options));
            add(LlmExtract.NAME, new AsyncLlmExtract(options));
        } else {
            add(LlmComplete.NAME, new LlmComplete(options));
            add(LlmTryComplete.NAME, new LlmTryComplete(options));
            add(LlmClassify.NAME, new LlmClassify(options));
            add(LlmExtract.NAME, new LlmExtract(options));
        }
        add(LlmTokens.NAME, new LlmTokens(options));
        add(LlmAdapters.NAME, new LlmAdapters(options));
    }

    private void add(String name, FunctionDefinition function) {
        functions.put(name.toLowerCase(Locale.ROOT), function);
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
