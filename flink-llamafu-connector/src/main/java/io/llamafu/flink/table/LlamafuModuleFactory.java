package io.llamafu.flink.table;

import io.llamafu.flink.LlamafuConfigOptions;
import io.llamafu.flink.LlamafuOptions;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.table.factories.ModuleFactory;
import org.apache.flink.table.module.Module;

import java.util.HashSet;
import java.util.Set;

/** Creates the {@link LlamafuModule} of {@code LOAD MODULE llamafu WITH (...)}. */
@Internal
public final class LlamafuModuleFactory implements ModuleFactory {

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
        Set<ConfigOption<?>> options = new HashSet<>(LlamafuConfigOptions.all());
        options.remove(LlamafuConfigOptions.MODEL);
        return options;
    }

    @Override
    public Module createModule(Context context) {
        WrittenOptions options = new WrittenOptions(context.getOptions());
        options.check("The module 'llamafu'", LlamafuConfigOptions.all());
        return new LlamafuModule(LlamafuOptions.fromMap(options.toMap()));
    }
}
