package io.llamafu.peft;

import io.llamafu.ErrorCode;
import io.llamafu.adapter.CompatibilityReport;
import io.llamafu.adapter.CompatibilityReport.Reason;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * Checks the tensors of a PEFT adapter against its configuration and the base, and collects all reasons to reject it.
 */
final class PeftCheck {
    /** A query or key head is reordered in memory: 4 MB, a rank of 8,192 with heads of 128. */
    private static final long MAX_HEAD_ELEMENTS = 1 << 20;

    /** The two matrices of a module in the file. */
    private record Halves(String path, Optional<SafetensorsTensor> a, Optional<SafetensorsTensor> b) {}

    private final PeftConfig config;
    private final PeftBase base;
    private final List<Reason> reasons;
    private final List<LoraModule> modules = new ArrayList<>();

    private PeftCheck(PeftConfig config, PeftBase base) {
        this.config = config;
        this.base = base;
        this.reasons = new ArrayList<>(config.reasons());
    }

    /**
     * Checks everything.
     *
     * @param adapter its name in messages
     * @return the adapted modules, layer by layer
     * @throws io.llamafu.LlamafuException with {@link ErrorCode#ADAPTER_INVALID} or {@link
     *     ErrorCode#ADAPTER_INCOMPATIBLE} and the first reasons
     */
    static List<LoraModule> check(
            String adapter, PeftConfig config, Collection<SafetensorsTensor> tensors, PeftBase base) {
        PeftCheck check = new PeftCheck(config, base);
        Map<ModuleTarget, Halves> pairs = check.pair(tensors);
        if (pairs.isEmpty()) {
            check.invalid("tensors", "pairs of lora_A and lora_B", "none");
        }
        pairs.forEach(check::checkPair);
        CompatibilityReport.of(check.reasons).requireCompatible(adapter);
        check.modules.sort(
                Comparator.comparingInt((LoraModule module) -> module.target().layer())
                        .thenComparingInt(module -> module.target().place()));
        return check.modules;
    }

    private Map<ModuleTarget, Halves> pair(Collection<SafetensorsTensor> tensors) {
        Map<ModuleTarget, Halves> pairs = new LinkedHashMap<>();
        for (SafetensorsTensor tensor : tensors) {
            Optional<String> unsupported = LoraTensorName.whyUnsupported(tensor.name());
            Optional<LoraTensorName> name = LoraTensorName.parse(tensor.name());
            if (unsupported.isPresent()) {
                invalid(tensor.name(), "absent, as " + unsupported.get(), "present");
            } else if (name.isEmpty()) {
                invalid(tensor.name(), "a name like base_model.model.MODULE.lora_A.weight", "another");
            } else {
                add(pairs, tensor, name.get());
            }
        }
        return pairs;
    }

    private void add(Map<ModuleTarget, Halves> pairs, SafetensorsTensor tensor, LoraTensorName name) {
        Optional<ModuleTarget> target = base.architecture().target(name.path());
        if (target.isEmpty()) {
            incompatible(
                    tensor.name(),
                    "a layer's module of '%s', which are %s"
                            .formatted(
                                    base.architecture().ggufName(),
                                    base.architecture().moduleNames()),
                    "another module");
            return;
        }
        Halves known = pairs.getOrDefault(target.get(), new Halves(name.path(), Optional.empty(), Optional.empty()));
        if (name.isA() ? known.a().isPresent() : known.b().isPresent()) {
            invalid(tensor.name(), "the only one for its module", "the second");
        }
        pairs.put(
                target.get(),
                name.isA()
                        ? new Halves(known.path(), Optional.of(tensor), known.b())
                        : new Halves(known.path(), known.a(), Optional.of(tensor)));
    }

    private void checkPair(ModuleTarget target, Halves halves) {
        if (halves.a().isEmpty() || halves.b().isEmpty()) {
            invalid(halves.path(), "lora_A and lora_B", halves.a().isPresent() ? "only lora_A" : "only lora_B");
            return;
        }
        SafetensorsTensor a = halves.a().get();
        SafetensorsTensor b = halves.b().get();
        if (!a.isMatrix() || !b.isMatrix()) {
            invalid(halves.path(), "two matrices", a.shapeText() + " and " + b.shapeText());
            return;
        }
        checkRanks(halves.path(), a, b);
        checkShapes(target, a, b);
        double alpha = config.alphaOf(halves.path(), a.rows());
        double factor = alpha == config.commonAlpha() ? 1 : alpha / config.commonAlpha();
        modules.add(new LoraModule(target, a, b, factor));
    }

    private void checkRanks(String path, SafetensorsTensor a, SafetensorsTensor b) {
        OptionalLong rank = config.rankOf(path);
        if (rank.isPresent() && a.rows() != rank.getAsLong()) {
            invalid(a.name(), "rank %d, as adapter_config.json says".formatted(rank.getAsLong()), "rank " + a.rows());
        }
        if (b.columns() != a.rows()) {
            invalid(b.name(), "rank %d, as its lora_A has".formatted(a.rows()), "rank " + b.columns());
        }
    }

    private void checkShapes(ModuleTarget target, SafetensorsTensor a, SafetensorsTensor b) {
        Optional<MatrixShape> shape = base.shape(target);
        if (shape.isEmpty()) {
            incompatible(a.name(), "for a matrix of the base model", "for %s, which it lacks".formatted(target.name()));
            return;
        }
        if (a.columns() != shape.get().inputs()) {
            incompatible(
                    a.name(),
                    "%d columns, as the base has".formatted(shape.get().inputs()),
                    a.shapeText());
        }
        if (b.rows() != shape.get().outputs()) {
            incompatible(
                    b.name(), "%d rows, as the base has".formatted(shape.get().outputs()), b.shapeText());
        } else if (target.rotary()) {
            checkHeads(b);
        }
    }

    private void checkHeads(SafetensorsTensor b) {
        int width = base.headWidth();
        if (width < 2 || width % 2 != 0 || b.rows() % width != 0) {
            incompatible(b.name(), "whole heads with an even number of rows", b.shapeText() + " for heads of " + width);
        } else if (b.columns() > MAX_HEAD_ELEMENTS / width) {
            invalid(b.name(), "a rank of %d or less".formatted(MAX_HEAD_ELEMENTS / width), "rank " + b.columns());
        }
    }

    private void invalid(String subject, String expected, String actual) {
        reasons.add(new Reason(ErrorCode.ADAPTER_INVALID, subject, expected, actual));
    }

    private void incompatible(String subject, String expected, String actual) {
        reasons.add(new Reason(ErrorCode.ADAPTER_INCOMPATIBLE, subject, expected, actual));
    }
}
