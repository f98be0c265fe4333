package io.llamafu.examples.cluster;

import org.apache.flink.api.common.externalresource.ExternalResourceDriver;
import org.apache.flink.api.common.externalresource.ExternalResourceDriverFactory;
import org.apache.flink.api.common.externalresource.ExternalResourceInfo;
import org.apache.flink.configuration.Configuration;

import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Gives a TaskManager the GPUs that the parameter {@code indexes} lists, in the form of Flink's own GPU plugin. */
public final class GivenGpus implements ExternalResourceDriverFactory {
    private static final String INDEX = "index";

    @Override
    public ExternalResourceDriver createExternalResourceDriver(Configuration configuration) {
        Set<Gpu> gpus = Stream.of(configuration.getString("indexes", "").split(";"))
                .map(Gpu::new)
                .collect(Collectors.toSet());
        return amount -> gpus;
    }

    private record Gpu(String index) implements ExternalResourceInfo {
        @Override
        public Optional<String> getProperty(String key) {
            return key.equals(INDEX) ? Optional.of(index) : Optional.empty();
        }

        @Override
        public Collection<String> getKeys() {
            return List.of(INDEX);
        }
    }
}
