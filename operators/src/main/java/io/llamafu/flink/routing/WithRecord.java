package io.llamafu.flink.routing;

import io.llamafu.flink.Answered;
import io.llamafu.flink.Completion;
import io.llamafu.flink.records.RecordTypeInfo;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;

import static org.apache.flink.util.Preconditions.checkNotNull;

/** Carries the record beside its request, with its own serializer, to the outcome. */
@Internal
public final class WithRecord<T> implements Carrier<T, Tuple2<RoutedRequest, T>, Answered<T>> {
    private static final long serialVersionUID = 1L;

    private final TypeInformation<T> recordType;

    public WithRecord(TypeInformation<T> recordType) {
        this.recordType = checkNotNull(recordType, "recordType is null");
    }

    @Override
    public TypeInformation<Tuple2<RoutedRequest, T>> elementType() {
        return Types.TUPLE(new RecordTypeInfo<>(RoutedRequest.class), recordType);
    }

    @Override
    public Tuple2<RoutedRequest, T> carry(T value, RoutedRequest request) {
        return Tuple2.of(request, value);
    }

    @Override
    public RoutedRequest request(Tuple2<RoutedRequest, T> element) {
        return element.f0;
    }

    @Override
    public TypeInformation<Answered<T>> outcomeType() {
        return Answered.type(recordType);
    }

    @Override
    public Answered<T> outcome(Tuple2<RoutedRequest, T> element, Completion completion) {
        return new Answered<>(element.f1, completion);
    }
}
