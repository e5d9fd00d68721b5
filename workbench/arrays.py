"""An array of one or two dimensions as a table: a batch becomes one as a result does."""

from __future__ import annotations

from typing import Any

VALUE = "value"


def table_of_array(array: Any) -> Any:
    """A pandas.DataFrame, and of a masked array a pyarrow.Table with null where it is masked. Its
    columns are `value`, or those of a structured array, or `0`, `1`, ..."""
    import numpy
    import pandas

    if isinstance(array, numpy.ma.MaskedArray):
        return _masked(array)
    array = numpy.asarray(array)
    if array.ndim == 1 and array.dtype.names is None:
        return pandas.DataFrame({VALUE: array})
    frame = pandas.DataFrame(array)
    return frame.set_axis([str(each) for each in frame.columns], axis=1)


def _masked(array: Any) -> Any:
    import numpy
    import pyarrow

    parts = array.T if array.ndim == 2 else [array]
    names = [VALUE] if array.ndim == 1 else [str(at) for at in range(len(parts))]
    columns = [
        pyarrow.array(numpy.ma.getdata(part), mask=numpy.ma.getmaskarray(part)) for part in parts
    ]
    return pyarrow.table(dict(zip(names, columns, strict=True)))
