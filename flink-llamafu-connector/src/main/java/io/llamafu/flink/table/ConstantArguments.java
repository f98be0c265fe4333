package io.llamafu.flink.table;

import io.llamafu.adapter.AdapterStack;
import org.apache.flink.table.types.inference.CallContext;

import java.util.Optional;

/** Checks constant arguments while a query is planned, so that a mistake is an error before the first record. */
final class ConstantArguments {
    private ConstantArguments() {}

    static void checkStack(CallContext call, int position) {
        constant(call, position).ifPresent(AdapterStack::parse);
    }

    static void checkSchema(CallContext call, int position) {
        constant(call, position).ifPresent(Task.Extraction::of);
    }

    private static Optional<String> constant(CallContext call, int position) {
        return position < call.getArgumentDataTypes().size()
                        && call.isArgumentLiteral(position)
                        && !call.isArgumentNull(position)
                ? call.getArgumentValue(position, String.class)
                : Optional.empty();
    }
}
