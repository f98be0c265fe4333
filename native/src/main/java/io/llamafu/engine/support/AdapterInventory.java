package io.llamafu.engine.support;

import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterCard;
import io.llamafu.adapter.AdapterCatalog;
import io.llamafu.adapter.AdapterCompatibility;
import io.llamafu.adapter.AdapterFile;
import io.llamafu.adapter.AdapterInfo;
import io.llamafu.adapter.AdapterSource.Version;
import io.llamafu.adapter.CompatibilityReport;
import io.llamafu.engine.LoadedAdapter;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;

/** Lists the adapters of a catalog together with those in memory. */
public final class AdapterInventory {
    private final AdapterCatalog catalog;
    private final GgufFile base;
    private final Function<String, Optional<String>> refusals;

    /**
     * An adapter in memory.
     *
     * @param file the version, under the name that loaded it
     * @param bytes of its weights
     * @param leases requests that hold it
     */
    public record InMemory(AdapterFile file, AdapterInfo info, long bytes, int leases) {
        private LoadedAdapter under(String name, AdapterCard card) {
            return new LoadedAdapter(
                    name, Optional.of(file.digest()), card, info, true, bytes, leases, Optional.empty());
        }
    }

    /**
     * @param base the model of the adapters
     * @param refusals why a tensor of it cannot be adapted; empty if it can
     */
    public AdapterInventory(AdapterCatalog catalog, GgufFile base, Function<String, Optional<String>> refusals) {
        this.catalog = catalog;
        this.base = base;
        this.refusals = refusals;
    }

    /** See {@link io.llamafu.engine.InferenceEngine#check}. */
    public CompatibilityReport check(Path file) {
        return AdapterCompatibility.checkFile(base, file, refusals);
    }

    /** The adapters of the catalog by name, then resident versions that no name stands for. */
    public List<LoadedAdapter> list(Collection<InMemory> residents) {
        Map<String, InMemory> byDigest = new LinkedHashMap<>();
        residents.forEach(resident -> byDigest.put(resident.file().digest(), resident));
        List<LoadedAdapter> adapters = new ArrayList<>();
        Set<String> named = new HashSet<>();
        for (String name : catalog.names()) {
            Optional<AdapterFile> version = catalog.lastResolved(name);
            Optional<InMemory> resident = version.map(AdapterFile::digest).map(byDigest::get);
            if (resident.isPresent()) {
                named.add(version.get().digest());
                adapters.add(resident.get().under(name, version.get().card()));
            } else {
                adapters.add(notInMemory(name, version));
            }
        }
        byDigest.values().stream()
                .filter(resident -> !named.contains(resident.file().digest()))
                .forEach(resident -> adapters.add(
                        resident.under(resident.file().name(), resident.file().card())));
        return adapters;
    }

    private LoadedAdapter notInMemory(String name, Optional<AdapterFile> resolved) {
        AdapterCard card = resolved.map(AdapterFile::card).orElse(AdapterCard.NONE);
        Optional<String> digest = resolved.map(AdapterFile::digest);
        try {
            Optional<Version> version = catalog.peek(name);
            Optional<Path> file = version.flatMap(Version::file)
                    .or(() -> resolved.filter(AdapterFile::isUnchanged).map(AdapterFile::path));
            if (file.isEmpty()) {
                long bytes = version.map(Version::byteSize).orElse(0L);
                return LoadedAdapter.onDisk(name, digest, card, AdapterInfo.NONE, bytes, Optional.empty());
            }
            if (version.flatMap(Version::file).isPresent()) {
                card = AdapterCard.read(version.get().card(), name);
            }
            GgufFile gguf = GgufReader.read(file.get(), GgufKind.ADAPTER);
            AdapterInfo info = AdapterInfo.of(gguf);
            Optional<String> problem = AdapterCompatibility.check(base, gguf, refusals)
                    .problem(name)
                    .or(() -> resolved.flatMap(AdapterFile::badWeights));
            return LoadedAdapter.onDisk(name, digest, card, info, info.tensorBytes(), problem);
        } catch (LlamafuException e) {
            return unreadable(name, card, e.sentence());
        } catch (IOException e) {
            return unreadable(name, card, "Its card cannot be read: " + e.getMessage());
        }
    }

    private static LoadedAdapter unreadable(String name, AdapterCard card, String problem) {
        return LoadedAdapter.onDisk(name, Optional.empty(), card, AdapterInfo.NONE, 0, Optional.of(problem));
    }
}
