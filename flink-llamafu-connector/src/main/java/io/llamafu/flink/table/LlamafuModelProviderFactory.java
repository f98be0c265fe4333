package io.llamafu.flink.table;

import io.llamafu.flink.LlamafuConfigOptions;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.table.api.config.ExecutionConfigOptions;
import org.apache.flink.table.catalog.ResolvedCatalogModel;
import org.apache.flink.table.factories.FactoryUtil;
import org.apache.flink.table.factories.ModelProviderFactory;
import org.apache.flink.table.ml.ModelProvider;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Creates models with {@code 'provider' = 'llamafu'}, which the engine of the TaskManager answers.
 *
 * <pre>{@code
 * CREATE MODEL triage INPUT (text STRING, adapters STRING) OUTPUT (answer STRING) WITH (
 *   'provider' = 'llamafu', 'model' = '/models/base.gguf', 'adapters' = '/models/adapters')
 * }</pre>
 */
@Internal
public final class LlamafuModelProviderFactory implements ModelProviderFactory {

    /** The options of a model, apart from its provider. */
    static final List<ConfigOption<?>> OPTIONS = options();

    private static List<ConfigOption<?>> options() {
        List<ConfigOption<?>> options = new ArrayList<>(LlamafuConfigOptions.all());
        options.add(LlamafuTableOptions.TASK);
        return List.copyOf(options);
    }

    @Override
    public String factoryIdentifier() {
        return LlamafuTableOptions.IDENTIFIER;
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        return Set.of(LlamafuConfigOptions.MODEL);
    }

    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        Set<ConfigOption<?>> options = new HashSet<>(OPTIONS);
        options.removeAll(requiredOptions());
        return options;
    }

    @Override
    public ModelProvider createModelProvider(Context context) {
        ResolvedCatalogModel model = context.getCatalogModel();
        String name = context.getObjectIdentifier().getObjectName();
        WrittenOptions options = new WrittenOptions(model.getOptions());
        String unusedProvider = options.remove(FactoryUtil.PROVIDER);
        Integer unusedVersion = options.remove(FactoryUtil.PROPERTY_VERSION);
        options.check("The model %s".formatted(name), OPTIONS);
        Duration timeoutOfFlink =
                context.getConfiguration().get(ExecutionConfigOptions.TABLE_EXEC_ASYNC_ML_PREDICT_TIMEOUT);
        LlamafuModelProvider provider = new LlamafuModelProvider(
                name,
                ModelInput.of(model.getResolvedInputSchema()),
                ModelOutput.of(model.getResolvedOutputSchema()),
                options.toMap(),
                timeoutOfFlink);
        ModelCalls unused = provider.calls(Map.of(), CallOptions.before(timeoutOfFlink));
        return provider;
    }
}
