"""The vectors of pix-rail.md §2.6, copied. Names are those of the page."""

CODES = {
    # static, random key, no amount
    "A": (
        "00020126580014br.gov.bcb.pix0136123e4567-e12b-12d1-a456-4266554400005204000053039865802BR5913Ful"
        "ano de Tal6008BRASILIA62070503***63041D3D"
    ),
    # static, CPF, 123.45
    "B": (
        "00020126330014br.gov.bcb.pix0111123456789095204000053039865406123.455802BR5913Fulano de Tal6008B"
        "RASILIA62070503***6304272D"
    ),
    # static, phone, 10.00, txid PEDIDO0001
    "C": (
        "00020126360014br.gov.bcb.pix0114+5511987654321520400005303986540510.005802BR5912Loja Exemplo6009"
        "SAO PAULO62140510PEDIDO00016304F359"
    ),
    # static, numeric CNPJ, 1.00, text "Pedido 42", txid ABC123
    "D": (
        "00020126490014br.gov.bcb.pix0114112223330001810209Pedido 4252040000530398654041.005802BR5920EMPR"
        "ESA EXEMPLO LTDA6014RIO DE JANEIRO62100506ABC12363044899"
    ),
    # static, alphanumeric CNPJ, 250.90, txid NF2026000123
    "D2": (
        "00020126360014br.gov.bcb.pix011412ABC34501DE355204000053039865406250.905802BR5917EMPRESA ALFA LT"
        "DA6014BELO HORIZONTE62160512NF202600012363042BF4"
    ),
    # static, e-mail
    "E": (
        "00020126400014br.gov.bcb.pix0118fulano@example.com5204000053039865802BR5913Fulano de Tal6008CURI"
        "TIBA62070503***6304D61E"
    ),
    # static, CRC starting with zeros, txid Z0294
    "Z": (
        "00020126330014br.gov.bcb.pix01111234567890952040000530398654041.005802BR5913Fulano de Tal6008BRA"
        "SILIA62090505Z029463040054"
    ),
    # static with postal code 70074900
    "K": (
        "00020126330014br.gov.bcb.pix01111234567890952040000530398654041.005802BR5913Fulano de Tal6008BRA"
        "SILIA61087007490062070503ABC63042958"
    ),
    # static, charge label of 25 characters, 30.00 (the example of pix-api.md)
    "Q": (
        "00020126580014br.gov.bcb.pix0136123e4567-e12b-12d1-a456-426655440000520400005303986540530.005802"
        "BR5912Loja Exemplo6009SAO PAULO62290525k3v9q0x7m2b5n8c1z4l6j0h2g63041E9D"
    ),
    # static, key + text exactly 73, 1.00
    "R": (
        "00020126990014br.gov.bcb.pix0136123e4567-e12b-12d1-a456-4266554400000237xxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxx52040000530398654041.005802BR5913Fulano de Tal6008BRASILIA62070503***630412E0"
    ),
    # static from "João Açaí", "São José dos Campos", 0.01, 25 times A
    "V": (
        "00020126330014br.gov.bcb.pix01111234567890952040000530398654040.015802BR5909Joao Acai6015Sao Jos"
        "e dos Ca62290525AAAAAAAAAAAAAAAAAAAAAAAAA63042A1E"
    ),
    # read only: PIX Saque, facilitator 12345678, 0.00
    "S": (
        "00020126450014br.gov.bcb.pix01111234567890903081234567852040000530398654040.005802BR5913Fulano d"
        "e Tal6008BRASILIA62070503***630421A8"
    ),
    # dynamic cob
    "F": (
        "00020101021226760014br.gov.bcb.pix2554pix.example.com/qr/v2/8b3da2f39a4140d1a91abd93113bd4415204"
        "000053039865802BR5913Fulano de Tal6008BRASILIA62070503***630497BF"
    ),
    # dynamic cobv with informational amount
    "F2": (
        "00020101021226810014br.gov.bcb.pix2559pix.example.com/qr/v2/cobv/1e6c54d3ec9449b7a7fc53b6b0f998e"
        "75204000053039865406123.455802BR5913Fulano de Tal6008BRASILIA62070503***63048761"
    ),
    # dynamic cob of the sandbox PSP
    "F3": (
        "00020101021226860014br.gov.bcb.pix2564pix.sandbox.opentill.test/qr/v2/8b3da2f39a4140d1a91abd9311"
        "3bd4415204000053039865802BR5912Loja Exemplo6009SAO PAULO62070503***6304B464"
    ),
    # charge + recurrence (printed in the BACEN document)
    "G": (
        "00020101021226760014br.gov.bcb.pix2554pix.example.com/qr/v2/8b3da2f39a4140d1a91abd93113bd4415204"
        "000053039865802BR5913Fulano de Tal6008BRASILIA62070503***80800014br.gov.bcb.pix2558pix.example.c"
        "om/qr/v2/rec/94ed2badcbc04c15b0bb7fa35319489063047741"
    ),
    # due-date charge + recurrence (printed in the BACEN document)
    "G2": (
        "00020101021226810014br.gov.bcb.pix2559pix.example.com/qr/v2/cobv/1e6c54d3ec9449b7a7fc53b6b0f998e"
        "75204000053039865802BR5913Fulano de Tal6008BRASILIA62070503***80800014br.gov.bcb.pix2558pix.exam"
        "ple.com/qr/v2/rec/3ffa640fa4f14080adccb949fa2dc0d06304A441"
    ),
    # recurrence only (printed in the BACEN document)
    "H": (
        "00020126180014br.gov.bcb.pix5204000053039865802BR5913Fulano de Tal6008BRASILIA62070503***8080001"
        "4br.gov.bcb.pix2558pix.example.com/qr/v2/rec/2353c790eefb11eaadc10242ac120002630462C9"
    ),
}

TOLERATED = {
    # upper-case GUI
    "T1": (
        "00020126330014BR.GOV.BCB.PIX01111234567890952040000530398654041.005802BR5913Fulano de Tal6008BRA"
        "SILIA62070503ABC63044A97"
    ),
    # amount "1"
    "T2": (
        "00020126330014br.gov.bcb.pix011112345678909520400005303986540115802BR5913Fulano de Tal6008BRASIL"
        "IA62070503***63041630"
    ),
    # 62 absent
    "T3": (
        "00020126330014br.gov.bcb.pix01111234567890952040000530398654041.005802BR5913Fulano de Tal6008BRASILIA63043093"
    ),
    # another scheme in 26, PIX in 27
    "T4": (
        "00020126240015com.example.pay0101X27330014br.gov.bcb.pix01111234567890952040000530398654041.0058"
        "02BR5913Fulano de Tal6008BRASILIA62070503***63041895"
    ),
    # name of 30 characters
    "T5": (
        "00020126330014br.gov.bcb.pix01111234567890952040000530398654041.005802BR5930ESTABELECIMENTO COM "
        "NOME LONGO6008BRASILIA62070503***63046329"
    ),
    # 01 = 11
    "T6": (
        "00020101021126330014br.gov.bcb.pix01111234567890952040000530398654041.005802BR5913Fulano de Tal6"
        "008BRASILIA62070503***6304EC00"
    ),
    # unknown ID 66
    "T7": (
        "00020126330014br.gov.bcb.pix01111234567890952040000530398654041.005802BR5913Fulano de Tal6008BRA"
        "SILIA62070503***6603XYZ63045F4E"
    ),
    # non-ASCII name (João: LEN 04, five bytes)
    "T8": (
        "00020126330014br.gov.bcb.pix01111234567890952040000530398654041.005802BR5904João6008BRASILIA6207"
        "0503***63043301"
    ),
    # 58 before 26
    "T9": (
        "0002015802BR26330014br.gov.bcb.pix01111234567890952040000530398654041.005913Fulano de Tal6008BRA"
        "SILIA62070503***6304D1FD"
    ),
    # single-use flag written in 02 instead of 01 (a common generator bug)
    "T10": (
        "00020102021226330014br.gov.bcb.pix01111234567890952040000530398654041.005802BR5913Fulano de Tal6"
        "008BRASILIA62070503***630401AA"
    ),
}

REFUSED = {
    "N4": (
        "bad_tlv",
        (
            "00020126580014br.gov.bcb.pix0135123e4567-e12b-12d1-a456-4266554400005204000053039865802BR5913Ful"
            "ano de Tal6008BRASILIA62070503***6304FABC"
        ),
    ),
    "N5": (
        "key_and_url",
        (
            "00020126620014br.gov.bcb.pix0111123456789092525pix.example.com/qr/v2/abc52040000530398654041.005"
            "802BR5913Fulano de Tal6008BRASILIA62070503***63046517"
        ),
    ),
    "N6": (
        "bad_currency",
        (
            "00020126330014br.gov.bcb.pix01111234567890952040000530384054041.005802BR5913Fulano de Tal6008BRA"
            "SILIA62070503***6304DF08"
        ),
    ),
    "N7": (
        "bad_country",
        (
            "00020126330014br.gov.bcb.pix01111234567890952040000530398654041.005802US5913Fulano de Tal6008BRA"
            "SILIA62070503***6304BEC9"
        ),
    ),
    "N8": (
        "not_pix",
        (
            "00020126340015com.example.pay01111234567890952040000530398654041.005802BR5913Fulano de Tal6008BR"
            "ASILIA62070503***6304C410"
        ),
    ),
    "N9": (
        "missing_field",
        ("00020126330014br.gov.bcb.pix01111234567890952040000530398654041.005802BR6008BRASILIA62070503***6304AEF6"),
    ),
    "N10": (
        "duplicate_id",
        (
            "00020126330014br.gov.bcb.pix01111234567890952040000530398654041.005802BR5913Fulano de Tal6008BRA"
            "SILIA62070503***5802BR630450C9"
        ),
    ),
    "N11": (
        "bad_amount",
        (
            "00020126330014br.gov.bcb.pix01111234567890952040000530398654041,005802BR5913Fulano de Tal6008BRA"
            "SILIA62070503***63042165"
        ),
    ),
    "N12": (
        "no_key_or_url",
        ("00020126180014br.gov.bcb.pix52040000530398654041.005802BR5913Fulano de Tal6008BRASILIA62070503***63040ED7"),
    ),
}
