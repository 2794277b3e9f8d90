async def test_a_unit_is_stored(database):
    assert await database.read(lambda tx: tx.one_or_none("select count(*) as n from merchant"))
